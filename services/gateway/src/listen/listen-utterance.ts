import { randomBytes } from 'node:crypto';
import type { LinkWord } from '@voice-fleet/protocol/link';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { SpeechMeter } from '@voice-fleet/speech/speech-meter';

/** So much may be with a worker before its engine has taken it: a worker drops audio when more waits than it allows. */
const WINDOW_SAMPLES = 2 * SAMPLE_RATE;

/**
 * One utterance of a listening session. All its samples are on the client's clock, which counts what was cleared too; the
 * session's clock does not.
 */
export class ListenUtterance {
  readonly id = `utt_${randomBytes(12).toString('hex')}`;
  readonly fromSample: number;
  /** The silence that ends it; absent: its client does. */
  silenceMs: number | undefined;
  /** `waiting`: the session has no room for it; `begun`: the session takes its audio; `finishing`: its final is waited for. */
  phase: 'waiting' | 'begun' | 'finishing' = 'waiting';
  /** Up to here its audio was given to the session. */
  sentSample: number;
  /** Where it ends, if it has. */
  toSample: number | undefined;
  /** Where its speaker was first heard. */
  beganSample: number | undefined;
  /** Its client was told that its speaker is silent. */
  ended = false;
  readonly words: LinkWord[] = [];
  /** Those of which nothing was told yet. */
  #fresh: LinkWord[] = [];
  readonly #meter = new SpeechMeter();
  #takenSample: number;
  /** From the session's clock to the client's. */
  #offset = 0;

  constructor(fromSample: number, silenceMs: number | undefined) {
    this.fromSample = fromSample;
    this.sentSample = fromSample;
    this.#takenSample = fromSample;
    this.silenceMs = silenceMs;
  }

  /** It takes audio. */
  get open(): boolean {
    return this.toSample === undefined;
  }

  /** Something was said in it, or its client decides what is said. */
  get counts(): boolean {
    const { open, silenceMs, beganSample, words } = this;
    return !open || silenceMs === undefined || beganSample !== undefined || words.length > 0;
  }

  /** Samples until it takes audio no more, being `maxSamples` long, which counts from where something is said. */
  left(maxSamples: number): number {
    if (!this.open) return Number.POSITIVE_INFINITY;
    const { silenceMs, fromSample, beganSample, words, sentSample } = this;
    const since = silenceMs === undefined ? fromSample : (beganSample ?? words[0]?.startSample);
    return since === undefined ? Number.POSITIVE_INFINITY : since + maxSamples - sentSample;
  }

  /** So many samples may be given to the session now. */
  get room(): number {
    return this.#takenSample + WINDOW_SAMPLES - this.sentSample;
  }

  /** How long it has been quiet where the session's audio ends. */
  get pauseSamples(): number {
    return this.#meter.pauseSamples;
  }

  /** The session was given more of it. */
  listenTo(pcm: Buffer): void {
    this.#meter.observe(pcm);
  }

  /** The session has begun it, at `sample` of its own clock. */
  begin(sample: number): void {
    this.phase = 'begun';
    this.#offset = this.sentSample - sample;
  }

  /** The last samples that count as sent were lost on the way to the session. */
  lose(samples: number): void {
    this.#takenSample += samples;
    this.#offset += samples;
  }

  /** The engine has taken all before `sample` of the session's clock. False: that is nothing new. */
  take(sample: number): boolean {
    const taken = sample + this.#offset;
    if (this.phase === 'waiting' || taken <= this.#takenSample) return false;
    this.#takenSample = taken;
    return true;
  }

  /** What `sample` of the session's clock is on the client's. */
  at(sample: number): number {
    return Math.max(this.fromSample, sample + this.#offset);
  }

  hear(words: readonly LinkWord[]): void {
    for (const word of words) {
      const { startSample, endSample } = word;
      const own = { ...word, startSample: this.at(startSample), endSample: this.at(endSample) };
      this.words.push(own);
      this.#fresh.push(own);
    }
  }

  /** Words wait to be told. */
  get hasFresh(): boolean {
    return this.#fresh.length > 0;
  }

  /** The words since the last call. */
  takeFresh(): readonly LinkWord[] {
    const fresh = this.#fresh;
    this.#fresh = [];
    return fresh;
  }
}
