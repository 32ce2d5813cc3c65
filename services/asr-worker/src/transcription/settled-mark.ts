import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type { EngineCapabilities } from '../engines/engine.ts';
import type { AudioSource } from './audio-source.ts';

/** Engines that do not tell settle a word well within this after they took its audio: 2 s. */
export const SETTLE_SAMPLES = 2 * SAMPLE_RATE;
/** A word may end so much before its voice does: 300 ms. */
const WORD_END_SAMPLES = 0.3 * SAMPLE_RATE;

/**
 * Up to where an utterance is settled: all words that end before were told, so another worker would owe only those after it.
 * Grows in silence as well, that audio need not be kept for ever.
 */
export class SettledMark {
  readonly #engine: EngineCapabilities;
  readonly #source: Pick<AudioSource, 'readSample' | 'pauseSamples'>;
  #sample: number;
  /** The engine's guess at words that it has not settled. */
  #tail = '';
  /** How much the present stream's engine had been given when it last settled a word. */
  #spokeAtSample: number;

  constructor(
    engine: EngineCapabilities,
    source: Pick<AudioSource, 'readSample' | 'pauseSamples'>,
    fromSample: number,
  ) {
    this.#engine = engine;
    this.#source = source;
    this.#sample = fromSample;
    this.#spokeAtSample = fromSample;
  }

  get sample(): number {
    return this.#sample;
  }

  onWords(count: number, tail: string): void {
    this.#tail = tail;
    if (count > 0) this.#spokeAtSample = this.#source.readSample;
  }

  /** Another stream goes on from `sample`. What the one before had in mind is of no account. */
  startAgain(sample: number): void {
    this.#tail = '';
    this.#spokeAtSample = sample;
  }

  /** All words up to `heardSample` are with the joiner, which holds those from `heldFrom` on. Returns whether it has grown. */
  raise(heardSample: number, heldFrom: number): boolean {
    const sample = Math.min(Math.max(heardSample, this.#quietUntil(heardSample)), heldFrom);
    if (sample <= this.#sample) return false;
    this.#sample = sample;
    return true;
  }

  /** Of an engine that does not tell: up to where it would have spoken by now, if no voice is left that it owes a word for. */
  #quietUntil(heardSample: number): number {
    const { tellsHeard, timeErrorSamples = 0 } = this.#engine;
    const { readSample, pauseSamples } = this.#source;
    const voicedUntil = readSample - pauseSamples;
    const accountedFor = Math.max(heardSample + WORD_END_SAMPLES, this.#spokeAtSample);
    if (tellsHeard || this.#tail !== '' || voicedUntil > accountedFor) return 0;
    return readSample - SETTLE_SAMPLES - timeErrorSamples;
  }
}
