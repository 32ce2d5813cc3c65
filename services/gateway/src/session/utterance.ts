import type { ErrorCode } from '@voice-fleet/protocol/errors';
import type { LinkEndpoint, LinkWord } from '@voice-fleet/protocol/link';
import type { ResumedUtterance } from '@voice-fleet/protocol/session';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { ReplayBuffer } from '@voice-fleet/speech/replay-buffer';
import { z } from 'zod';
import type { Link, LinkStart } from './link.ts';

/** Audio before the last settled word that another worker hears again, to find its place. As an engine's own recovery. */
const OVERLAP_SAMPLES = 2 * SAMPLE_RATE;
/** An engine settles within a segment of 30 s, and another worker is looked for no longer than that. */
const MAX_REPLAY_SAMPLES = 60 * SAMPLE_RATE;
/** A resumed client sends what it kept faster than it was said: so much is not live audio. */
const RESUME_SAMPLES = 90 * SAMPLE_RATE;
/** Words that end so long before the last settled one are no part of any seam. */
const CONTEXT_SAMPLES = 5 * SAMPLE_RATE;
const MAX_CONTEXT_WORDS = 128;

/** What a client's utterance is doing. `failed`: it comes to nothing; its audio is let go until the client ends it. */
export type UtterancePhase = 'open' | 'finishing' | 'failed';

const Word = z.object({
  text: z.string(),
  startSample: z.int(),
  endSample: z.int(),
  confidence: z.number().optional(),
});

/** All that another gateway needs to go on with an utterance, apart from its text. */
export const UtteranceSnapshot = z.object({
  id: z.string(),
  number: z.int(),
  startSample: z.int(),
  settledSample: z.int(),
  words: z.array(Word),
  traceparent: z.string().optional(),
});
export type UtteranceSnapshot = z.infer<typeof UtteranceSnapshot>;

/** One utterance of a client: its transcript so far, and its audio since the last word that is settled. */
export class Utterance {
  /** The client's name for it. */
  readonly id: string;
  /** Our number for it, unique in the session, so that late events of a cancelled one with the same id are known. */
  readonly number: number;
  /** Where on the session clock its audio begins. */
  readonly startSample: number;
  phase: UtterancePhase = 'open';
  /** Why it failed: its end is answered with the same error. */
  failure?: ErrorCode;
  /** Of its trace, wherever that is known. */
  traceparent: string | undefined;
  /** All text told to the client so far. */
  text: string;
  readonly #replay: ReplayBuffer;
  /** The latest of the words told to the client. */
  #words: LinkWord[];
  #settledSample: number;
  /** Before this its audio is no live audio. */
  readonly #liveSample: number;
  /** What is asked of each worker that it comes to. */
  #endpoint: LinkEndpoint | undefined;

  /** With `begun`, one that another gateway has begun: its audio from `keepSample` on comes again, from the client. */
  constructor(origin: UtteranceSnapshot, begun?: { text: string; acceptedSamples: number }) {
    const { id, number, startSample, settledSample, words, traceparent } = origin;
    this.id = id;
    this.traceparent = traceparent;
    this.number = number;
    this.startSample = startSample;
    this.text = begun?.text ?? '';
    this.#liveSample = begun ? begun.acceptedSamples + RESUME_SAMPLES : startSample;
    this.#words = words.map(linkWord);
    this.#settledSample = settledSample;
    this.#replay = new ReplayBuffer(MAX_REPLAY_SAMPLES, this.keepSample);
  }

  static begin(id: string, number: number, startSample: number, silenceMs?: number): Utterance {
    const origin = { id, number, startSample, settledSample: startSample, words: [] };
    const utterance = new Utterance(origin);
    if (silenceMs !== undefined) utterance.#endpoint = { silenceMs };
    return utterance;
  }

  /** All words that end before this were told to the client. */
  get settledSample(): number {
    return this.#settledSample;
  }

  /** No worker will have to hear audio before this. */
  get keepSample(): number {
    return Math.max(this.startSample, this.#settledSample - OVERLAP_SAMPLES);
  }

  /** The same, for its client, who counts its samples from its own start. */
  get keep(): ResumedUtterance {
    return { utteranceId: this.id, fromSample: this.keepSample - this.startSample };
  }

  snapshot(): UtteranceSnapshot {
    const { id, number, startSample, traceparent } = this;
    return {
      id,
      number,
      startSample,
      settledSample: this.#settledSample,
      words: this.#words,
      ...(traceparent !== undefined && { traceparent }),
    };
  }

  append(pcm: Buffer): void {
    this.#replay.append(pcm);
  }

  /** Adds words, which are told to the client, and returns their text. */
  tell(words: readonly LinkWord[]): string {
    let told = '';
    for (const word of words) told += word.text;
    this.text += told;
    const last = words.at(-1);
    if (last === undefined) return told;
    const oldest = last.endSample - CONTEXT_SAMPLES;
    const context = [...this.#words, ...words].slice(-MAX_CONTEXT_WORDS);
    this.#words = context.filter(({ endSample }) => endSample >= oldest);
    this.settle(last.endSample);
    return told;
  }

  settle(sample: number): void {
    if (sample <= this.#settledSample) return;
    this.#settledSample = sample;
    this.#replay.forgetBefore(this.keepSample);
  }

  /** The next worker need not hear it again to know that somebody speaks. */
  speechBegan(): void {
    if (this.#endpoint) this.#endpoint = { ...this.#endpoint, begun: true };
  }

  /** Begins it on a link, where all of its audio is to come. */
  beginOn(link: Link): void {
    link.start(this.number, this.startSample, this.#how);
  }

  get #how(): Pick<LinkStart, 'endpoint' | 'traceparent'> {
    const { traceparent } = this;
    const endpoint = this.#endpoint;
    return { ...(endpoint && { endpoint }), ...(traceparent !== undefined && { traceparent }) };
  }

  /**
   * Begins it on a link, or goes on with it there: all audio that some worker must still hear is sent at once. Returns how
   * many samples are missing, because too much had to be kept.
   */
  startOn(link: Link): number {
    const { fromSample, endSample } = this.#replay;
    const heardSample = Math.max(this.#settledSample, fromSample);
    const resume = {
      heardSample,
      liveSample: Math.max(this.#liveSample, endSample),
      words: this.#words,
    };
    link.start(this.number, fromSample, { resume, ...this.#how });
    for (const piece of this.#replay.pieces(fromSample)) link.audio(piece);
    if (this.phase === 'finishing') link.finish(this.number);
    const missing = heardSample - this.#settledSample;
    // It is told once.
    this.settle(heardSample);
    return missing;
  }
}

function linkWord({ confidence, ...word }: z.infer<typeof Word>): LinkWord {
  return confidence === undefined ? word : { ...word, confidence };
}
