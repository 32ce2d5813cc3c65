import { setImmediate as turn } from 'node:timers/promises';
import { expect } from '@jest/globals';
import type { EngineEvent, EngineStream } from '@voice-fleet/asr-worker/engines/engine';
import { EventQueue } from '@voice-fleet/asr-worker/engines/event-queue';
import {
  type RunnerSettings,
  UtteranceRunner,
} from '@voice-fleet/asr-worker/transcription/utterance-runner';
import { joinText, type Word } from '@voice-fleet/speech/words';
import {
  SLOT_SAMPLES,
  silence,
  speak,
  transcript,
  WORD_SAMPLES,
} from '@voice-fleet/testkit/coded-speech';
import { FakeClock } from '@voice-fleet/testkit/fake-clock';
import { ScriptedEngine } from './scripted-engine.ts';

export const SECOND = 16_000;
const OVERLAP = 2 * SECOND;
export const PLAN = {
  segmentSamples: 5 * SECOND,
  pauseFromSamples: 3 * SECOND,
  overlapSamples: 0.8 * SECOND,
};
/** Nothing is cut. */
export const WHOLE = { ...PLAN, segmentSamples: Infinity, pauseFromSamples: Infinity };
export const SETTINGS: RunnerSettings = {
  plan: PLAN,
  maxBacklogSamples: 5 * SECOND,
  finishTimeoutMs: 5_000,
  quietTimeoutMs: 10_000,
  recovery: { maxAttempts: 3, overlapSamples: OVERLAP, replaySamples: 30 * SECOND },
};

/** Says after each write up to where it has heard, as vLLM does. */
export class TellingEngine extends ScriptedEngine {
  override readonly capabilities = {
    streaming: true,
    gpu: false,
    languages: [],
    minMemoryMiB: 1,
    tellsHeard: true,
  };

  override open(): EngineStream {
    const stream = super.open();
    const events = new EventQueue<EngineEvent>();
    const pump = async (): Promise<void> => {
      for await (const event of stream.events) events.push(event);
      events.end();
    };
    void pump();
    let samples = 0;
    let run = 0;
    return {
      events,
      finish: () => stream.finish(),
      abort: () => stream.abort(),
      write: async (pcm) => {
        await stream.write(pcm);
        for (let at = 0; at < pcm.length; at += 2) run = pcm.readInt16LE(at) === 0 ? 0 : run + 1;
        samples += pcm.length >> 1;
        // The words of this write first.
        await turn();
        events.push({ kind: 'heard', untilSample: samples - run });
      },
    };
  }
}

/** Says nothing of what it heard, and each word so late as an engine may at the most. */
export class LateEngine extends ScriptedEngine {
  override open(): EngineStream {
    const stream = super.open();
    const events = new EventQueue<EngineEvent>();
    let held: EngineEvent[] = [];
    let samples = 0;
    const release = (): void => {
      const isDue = (event: EngineEvent): boolean =>
        event.kind !== 'words' || (event.words[0]?.endSample ?? 0) + 1.8 * SECOND <= samples;
      for (const event of held.filter(isDue)) events.push(event);
      held = held.filter((event) => !isDue(event));
    };
    const pump = async (): Promise<void> => {
      for await (const event of stream.events) held.push(event);
      for (const event of held) events.push(event);
      events.end();
    };
    void pump();
    return {
      events,
      finish: () => stream.finish(),
      abort: () => {
        held = [];
        stream.abort();
      },
      write: async (pcm) => {
        await stream.write(pcm);
        samples += pcm.length >> 1;
        await turn();
        release();
      },
    };
  }
}

export interface Speech {
  readonly pcm: Buffer;
  readonly said: readonly number[];
  /** Where each word ends. */
  readonly ends: readonly number[];
}

export function speech(parts: readonly { word: number; pauseMs: number }[]): Speech {
  const ends: number[] = [];
  const pieces: Buffer[] = [];
  let samples = 0;
  for (const { word, pauseMs } of parts) {
    ends.push(samples + WORD_SAMPLES);
    pieces.push(speak([word]), silence(pauseMs));
    samples += SLOT_SAMPLES + (pauseMs * SECOND) / 1000;
  }
  return { pcm: Buffer.concat(pieces), said: parts.map(({ word }) => word), ends };
}

/** In place of a gateway: keeps what another worker must hear, and moves its one utterance whenever it is told to. */
export class Mover {
  readonly speech: Speech;
  readonly words: Word[] = [];
  readonly engines: ScriptedEngine[] = [];
  readonly settings: RunnerSettings;
  settled = 0;
  finals = 0;
  dropped = 0;
  failures: unknown[] = [];
  /** Promises that were not kept: thrown in a listener, they would only look like faults of the engine. */
  readonly broken: string[] = [];
  readonly #fromSample: number;
  readonly #clock = new FakeClock();
  readonly #newEngine: () => ScriptedEngine;
  #sent: number;
  #runner: UtteranceRunner;

  constructor(speech: Speech, options: MoverOptions = {}) {
    const { newEngine = () => new ScriptedEngine(), settings = SETTINGS, fromSample = 0 } = options;
    this.speech = speech;
    this.settings = settings;
    this.#newEngine = newEngine;
    this.#fromSample = fromSample;
    this.#sent = fromSample;
    this.settled = fromSample;
    this.#runner = this.#open(fromSample);
  }

  get sent(): number {
    return this.#sent - this.#fromSample;
  }

  get engine(): ScriptedEngine {
    const engine = this.engines.at(-1);
    if (engine === undefined) throw new Error('there is always one');
    return engine;
  }

  get pendingTimers(): number {
    return this.#clock.pending;
  }

  /** Sends audio up to `sample` of the speech, at once. */
  send(sample: number): void {
    const audio = this.#audio(this.#sent, this.#fromSample + sample);
    this.#sent += audio.length / 2;
    this.#runner.push(audio);
  }

  /** The worker is lost: what it said and was not read yet is lost as well. */
  move(): void {
    this.#runner.cancel();
    const fromSample = Math.max(this.#fromSample, this.settled - OVERLAP);
    const liveSample = this.#sent;
    this.#runner = this.#open(fromSample, {
      heardSample: this.settled,
      liveSample,
      words: this.words.slice(-64),
    });
    for (let at = fromSample; at < liveSample; at += SECOND / 2)
      this.#runner.push(this.#audio(at, Math.min(liveSample, at + SECOND / 2)));
  }

  finish(): void {
    this.#runner.finish();
  }

  #audio(from: number, to: number): Buffer {
    const start = (from - this.#fromSample) * 2;
    return this.speech.pcm.subarray(start, (to - this.#fromSample) * 2);
  }

  #open(
    fromSample: number,
    resume?: ConstructorParameters<typeof UtteranceRunner>[2],
  ): UtteranceRunner {
    const engine = this.#newEngine();
    this.engines.push(engine);
    const isCurrent = (): boolean => this.engine === engine;
    const tell = (words: readonly Word[]): void => {
      if (!isCurrent()) this.broken.push('a cancelled runner spoke');
      this.words.push(...words);
      this.settled = Math.max(this.settled, words.at(-1)?.endSample ?? 0);
    };
    let settled = resume?.heardSample ?? fromSample;
    return new UtteranceRunner(
      fromSample,
      {
        engine,
        voice: {},
        sessionId: 's',
        utterance: 1,
        clock: this.#clock,
        settings: this.settings,
        listener: {
          onWords: tell,
          onFinal: (words) => {
            tell(words);
            this.finals += 1;
          },
          onSettled: (sample) => {
            if (sample <= settled) this.broken.push(`settled went from ${settled} to ${sample}`);
            settled = sample;
            this.settled = Math.max(this.settled, sample);
            const due = this.speech.ends.filter((end) => end < sample - this.#fromSample).length;
            if (this.words.length < due)
              this.broken.push(`${this.words.length} of ${due} words were told at ${sample}`);
          },
          onDropped: (samples) => {
            this.dropped += samples;
          },
          onFailed: (cause) => void this.failures.push(cause),
          onTaken: () => undefined,
          onSegmentRolled: () => undefined,
          onFault: ({ message }) => void this.broken.push(message),
          onRecovered: () => undefined,
        },
      },
      resume,
    );
  }
}

export interface MoverOptions {
  readonly newEngine?: () => ScriptedEngine;
  readonly settings?: RunnerSettings;
  readonly fromSample?: number;
}

async function settle(): Promise<void> {
  for (let round = 0; round < 12; round += 1) await turn();
}

/** Lets the engine take all there is. */
export async function drain(mover: Mover): Promise<void> {
  for (let taken = -1; taken !== mover.engine.takenSamples; ) {
    taken = mover.engine.takenSamples;
    await settle();
  }
}

/** Sends all in frames of 80 ms, and moves when so many samples were sent; `Infinity`: after the finish. */
export async function play(
  mover: Mover,
  cuts: readonly number[],
  isSteady: (nth: number) => boolean = () => true,
): Promise<void> {
  const total = mover.speech.pcm.length / 2;
  const left = [...cuts].sort((a, b) => a - b);
  for (let nth = 0; mover.sent < total; nth += 1) {
    const until = Math.min(total, mover.sent + 1_280);
    for (let cut = left[0] ?? Infinity; cut <= until; cut = left[0] ?? Infinity) {
      mover.send(cut);
      if (isSteady(nth)) await turn();
      mover.move();
      left.shift();
    }
    mover.send(until);
    if (isSteady(nth)) await turn();
  }
  mover.finish();
  for (const _ of left) {
    await turn();
    if (mover.finals > 0) break;
    mover.move();
    mover.finish();
  }
  await drain(mover);
}

export function expectWhole(mover: Mover): void {
  expect(joinText(mover.words)).toBe(transcript(mover.speech.said));
  const starts = mover.words.map(({ startSample }) => startSample);
  expect(starts).toEqual([...starts].sort((a, b) => a - b));
  expect([mover.broken, mover.finals, mover.failures, mover.dropped]).toEqual([[], 1, [], 0]);
  expect(mover.engines.map(({ openStreams }) => openStreams)).toEqual(mover.engines.map(() => 0));
  expect(mover.pendingTimers).toBe(0);
}
