import type { LinkWord } from '@voice-fleet/protocol/link';

type Heard = Pick<LinkWord, 'text' | 'endSample'>;

/** The words of the last seconds of an utterance, and the engine's guess at what follows them. */
export class PartialWindow {
  readonly #windowSamples: number;
  #words: Heard[] = [];
  #tail = '';

  constructor(windowSamples: number) {
    this.#windowSamples = windowSamples;
  }

  hear(words: readonly Heard[]): void {
    for (const word of words) this.#words.push(word);
  }

  set tail(tail: string) {
    this.#tail = tail;
  }

  /** What was said in the seconds before `nowSample` of the session. Words before them are forgotten. */
  text(nowSample: number): string {
    const fromSample = nowSample - this.#windowSamples;
    const first = this.#words.findIndex(({ endSample }) => endSample > fromSample);
    this.#words = first < 0 ? [] : this.#words.slice(first);
    return (this.#words.map(({ text }) => text).join('') + this.#tail).trim();
  }
}
