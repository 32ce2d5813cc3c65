import type { YapUtteranceHandlers } from '@voice-fleet/client/yap-utterance';
import type { YapServerFrame } from '@voice-fleet/protocol/yap';
import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import { GAP_SAMPLES, SLOT_SAMPLES } from '@voice-fleet/testkit/coded-speech';
import { until } from '../support/until.ts';
import { accountWords, type WordAccount } from './word-account.ts';

const FRAME_MS = 80;
const FRAME_SAMPLES = 1280;
/** Words fill whole frames: 320 ms of the word and 80 ms of silence. */
const FRAMES_PER_WORD = SLOT_SAMPLES / FRAME_SAMPLES;
const GAP_FRAMES = GAP_SAMPLES / FRAME_SAMPLES;
/** Beyond the longest time that a session is without a worker before it is told so. */
const RESULT_TIMEOUT_MS = 60_000;
const ACK_TIMEOUT_MS = 10_000;
const END_TIMEOUT_MS = 10_000;
const SILENCE = Buffer.alloc(FRAME_SAMPLES * BYTES_PER_SAMPLE);

/** What a speaker needs of a client; plain and resumable ones have it. */
export interface SpeakingClient {
  readonly sessionId: string;
  /** Of resumable ones: how often the session was taken up again. */
  readonly continuity?: { readonly resumes: number };
  utterance(handlers: YapUtteranceHandlers): {
    append(pcm: Buffer): void;
    finalize(): void;
    result(timeoutMs: number): Promise<{ readonly finalText: string }>;
  };
  end(timeoutMs: number): Promise<unknown>;
  close(): Promise<unknown>;
}

/** One utterance as its speaker saw it. All times are of `performance.now()`. */
export interface UtteranceRecord {
  readonly startedMs: number;
  /** Words of which every sample was handed over, and when the last one was. */
  readonly said: { readonly word: string; readonly atMs: number }[];
  readonly heard: { readonly text: string; readonly atMs: number }[];
  /** When the end of the utterance was told, or it failed; absent while it is spoken. */
  finishedMs: number | undefined;
  finalText: string | undefined;
}

export interface SpeakerOptions {
  /** Tells its words from those of all others; from 0. */
  readonly index: number;
  /** How many speakers share the words there are. */
  readonly speakers: number;
  /** Absent: one utterance until `stop`. */
  readonly wordsPerUtterance?: number;
  /** Before it leaves, it waits to be told that all its audio was taken. */
  readonly awaitsAcks?: boolean;
  /** Time between two frames of 80 ms; default 80. */
  readonly paceMs?: number;
}

/** Number of words that coded speech has. */
const ALL_WORDS = 32_767;

/** Says numbered words in real time and keeps account of what it gets for them. */
export class Speaker {
  readonly index: number;
  readonly utterances: UtteranceRecord[] = [];
  /** Why the session failed; a speaker does not go on after its first failure. */
  readonly failures: string[] = [];
  /** The last that acks told. */
  acceptedSamples = 0;
  sentSamples = 0;
  client: SpeakingClient | undefined;
  readonly #options: SpeakerOptions;
  readonly #firstWord: number;
  readonly #span: number;
  #nextWord = 0;
  #leaving = false;
  #stopping = false;
  #run: Promise<void> | undefined;

  constructor(options: SpeakerOptions) {
    this.index = options.index;
    this.#options = options;
    this.#span = Math.floor(ALL_WORDS / options.speakers);
    this.#firstWord = 1 + options.index * this.#span;
  }

  /** To be called with every frame of its session. */
  readonly onFrame = (frame: YapServerFrame): void => {
    if (frame.type !== 'ack') return;
    this.acceptedSamples = Math.max(this.acceptedSamples, frame.payload.accepted_samples);
  };

  /** Speaks until `stop`. `dial` settles when it is admitted. */
  start(dial: (speaker: Speaker) => Promise<SpeakingClient>): void {
    this.#run ??= this.#speak(dial);
  }

  /** Ends the session behind the utterance being said, the first at the least. */
  async finish(): Promise<void> {
    this.#leaving = true;
    await this.#run;
  }

  /** Ends the utterance behind the word being said, and the session when the transcript is there. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.finish();
  }

  /** What became of all its words so far. Take it after `stop`. */
  accounts(): WordAccount[] {
    return this.utterances.map(({ said, heard, finalText }) =>
      accountWords(
        said.map(({ word }) => word),
        (finalText ?? textOf(heard)).split(/\s+/).filter((word) => word !== ''),
      ),
    );
  }

  async #speak(dial: (speaker: Speaker) => Promise<SpeakingClient>): Promise<void> {
    try {
      this.client = await dial(this);
      do await this.#utter(this.client);
      while (!this.#leaving);
      if (this.#options.awaitsAcks)
        await until(
          () => this.acceptedSamples >= this.sentSamples,
          'all audio is acknowledged',
          ACK_TIMEOUT_MS,
        );
      await this.client.end(END_TIMEOUT_MS);
    } catch (error) {
      const last = this.utterances.at(-1);
      if (last) last.finishedMs ??= performance.now();
      this.failures.push(
        error instanceof Error ? `${error.name}: ${error.message}` : String(error),
      );
      await this.client?.close();
    }
  }

  async #utter(client: SpeakingClient): Promise<void> {
    const startedMs = performance.now();
    const record: UtteranceRecord = {
      startedMs,
      said: [],
      heard: [],
      finishedMs: undefined,
      finalText: undefined,
    };
    this.utterances.push(record);
    let failure: Error | undefined;
    const utterance = client.utterance({
      onToken: (text) => record.heard.push({ text, atMs: performance.now() }),
      onError: (error) => {
        failure = error;
      },
    });
    const words = Math.min(this.#options.wordsPerUtterance ?? this.#span, this.#span);
    const paceMs = this.#options.paceMs ?? FRAME_MS;
    let frames = 0;
    while (record.said.length < words && !this.#stopping) {
      const word = this.#firstWord + (this.#nextWord % this.#span);
      this.#nextWord += 1;
      const spoken = frameOf(word);
      for (let part = 0; part < FRAMES_PER_WORD; part++) {
        await untilMs(startedMs + frames * paceMs);
        if (failure) throw failure;
        utterance.append(part < FRAMES_PER_WORD - GAP_FRAMES ? spoken : SILENCE);
        this.sentSamples += FRAME_SAMPLES;
        frames += 1;
      }
      record.said.push({ word: `w${word}`, atMs: performance.now() });
    }
    utterance.finalize();
    record.finishedMs = performance.now();
    const { finalText } = await utterance.result(RESULT_TIMEOUT_MS);
    record.finalText = finalText;
    if (finalText !== textOf(record.heard))
      throw new Error(`the final "${finalText}" is not what its tokens say`);
  }
}

function textOf(heard: UtteranceRecord['heard']): string {
  return heard.map(({ text }) => text).join('');
}

function frameOf(word: number): Buffer {
  const frame = Buffer.alloc(FRAME_SAMPLES * BYTES_PER_SAMPLE);
  for (let at = 0; at < frame.length; at += BYTES_PER_SAMPLE) frame.writeInt16LE(word, at);
  return frame;
}

/** By the clock and not by the sum of waits, so that a late frame delays no other. */
async function untilMs(atMs: number): Promise<void> {
  const leftMs = atMs - performance.now();
  if (leftMs > 0) await new Promise((resolve) => setTimeout(resolve, leftMs));
}
