import type { Pointer, SphinxLibrary } from './library.ts';

/** Cepstra a frame. */
export const CEPSTRA = 13;

/** The library's front end on its own: 0.6 ms a second of audio, so it is called in place. */
export class FrontEnd {
  readonly #library: SphinxLibrary;
  readonly #frontEnd: Pointer;

  constructor(library: SphinxLibrary) {
    this.#library = library;
    const frontEnd = library.fe_init_auto_r(library.config);
    if (!frontEnd) throw new Error('pocketsphinx could not make a front end from its model');
    this.#frontEnd = frontEnd;
  }

  /** `CEPSTRA` numbers for each frame whose whole window lies in the samples. */
  cepstraOf(samples: Int16Array): Float32Array {
    const { fe_start_utt, fe_process_utt, fe_free_2d, decode, decodeFloats } = this.#library;
    const out: [Pointer | null] = [null];
    const frameCount = [0];
    fe_start_utt(this.#frontEnd);
    fe_process_utt(this.#frontEnd, samples, samples.length, out, frameCount);
    if (out[0] === null) return new Float32Array();
    const frames = frameCount[0] ?? 0;
    // The rows lie behind one another in one block; the array of row pointers starts with the first.
    const rows = decode(out[0], 0, 'void *') as Pointer;
    const cepstra = frames === 0 ? new Float32Array() : decodeFloats(rows, frames * CEPSTRA);
    fe_free_2d(out[0]);
    return cepstra;
  }
}
