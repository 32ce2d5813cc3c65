declare module '@echogarden/fvad-wasm' {
  /** The part of libfvad, compiled to WebAssembly, that is used here. Its package has no types. */
  export interface Fvad {
    readonly HEAP16: Int16Array;
    _malloc(bytes: number): number;
    _fvad_new(): number;
    _fvad_free(handle: number): void;
    _fvad_set_mode(handle: number, mode: number): number;
    _fvad_set_sample_rate(handle: number, rate: number): number;
    /** 1: a voice; 0: none; -1: a fault. */
    _fvad_process(handle: number, samplesAt: number, samples: number): number;
  }
  // biome-ignore lint/style/noDefaultExport: what the package exports.
  export default function load(): Promise<Fvad>;
}
