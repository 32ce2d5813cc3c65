import { CEPSTRA } from './front-end.ts';
import { offThread, type Pointer, type SphinxLibrary } from './library.ts';

/** A word as the decoder spells it, `then(2)` or `<sil>`; frames count from the utterance's first. */
export interface RawWord {
  readonly text: string;
  readonly fromFrame: number;
  /** Past the last frame. */
  readonly toFrame: number;
  /** Only once the utterance has ended. */
  readonly posterior?: number;
}

/** `cepsize` and `cmn_struct` in sphinxbase's public `feat_t` on 64-bit machines. */
const CEPSIZE_OFFSET_BYTES = 16;
const CMN_OFFSET_BYTES = 88;

/** One C decoder: 91 MB, one utterance at a time, one call at a time. */
export class Decoder {
  readonly #library: SphinxLibrary;
  readonly #decoder: Pointer;
  #ended = true;

  private constructor(library: SphinxLibrary, decoder: Pointer) {
    this.#library = library;
    this.#decoder = decoder;
  }

  /** Takes 0.3 s, and 2 s when the model is not in the page cache. */
  static async make(library: SphinxLibrary): Promise<Decoder> {
    const decoder = await offThread(library.ps_init, library.config);
    if (!decoder) throw new Error('pocketsphinx could not load its model: is the package damaged?');
    const features = library.ps_get_feat(decoder);
    if (library.decode(features, CEPSIZE_OFFSET_BYTES, 'int') !== CEPSTRA) {
      throw new Error('this libpocketsphinx is laid out unlike the one of Debian 12');
    }
    return new Decoder(library, decoder);
  }

  /** Starts an utterance for a speaker whose mean cepstrum is known; it outweighs every other setting. */
  start(mean: readonly number[]): void {
    const { decode, ps_get_feat, cmn_live_set, ps_start_stream, ps_start_utt } = this.#library;
    const cmn = decode(ps_get_feat(this.#decoder), CMN_OFFSET_BYTES, 'void *');
    cmn_live_set(cmn, new Float32Array(mean));
    // Frames count from the start of the stream, not of the utterance.
    ps_start_stream(this.#decoder);
    if (ps_start_utt(this.#decoder) < 0) throw new Error('pocketsphinx refused an utterance');
    this.#ended = false;
  }

  async decode(samples: Int16Array): Promise<void> {
    // Outside an utterance this call aborts the process.
    if (this.#ended) throw new Error('the utterance has ended');
    await offThread(this.#library.ps_process_raw, this.#decoder, samples, samples.length, 0, 0);
  }

  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await offThread(this.#library.ps_end_utt, this.#decoder);
  }

  /** The second look at an ended utterance: searches the word lattice, which `words` then reads. */
  async rescore(): Promise<void> {
    await offThread(this.#library.ps_get_prob, this.#decoder);
  }

  words(): RawWord[] {
    const library = this.#library;
    const logmath = library.ps_get_logmath(this.#decoder);
    const words: RawWord[] = [];
    let segment = library.ps_seg_iter(this.#decoder);
    while (segment) {
      const first = [0];
      const last = [0];
      library.ps_seg_frames(segment, first, last);
      words.push({
        text: library.ps_seg_word(segment),
        fromFrame: first[0] ?? 0,
        toFrame: (last[0] ?? 0) + 1,
        ...(this.#ended && {
          posterior: library.logmath_exp(logmath, library.ps_seg_prob(segment, null, null, null)),
        }),
      });
      segment = library.ps_seg_next(segment);
    }
    return words;
  }
}
