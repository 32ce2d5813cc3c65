import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import { BYTES_PER_SAMPLE } from '@voice-fleet/speech/pcm';
import type { Word } from '@voice-fleet/speech/words';
import { type EngineEvent, type EngineStream, StreamFault, type StreamOrigin } from '../engine.ts';
import { EventQueue } from '../event-queue.ts';
import type { ChildEnd, ChildListener, SpeechChild } from './child.ts';
import { type ProcessMetrics, WorkMeter } from './metrics.ts';
import { WordSplitter } from './word-splitter.ts';

/** The model makes one token of 80 ms of audio. */
const TOKEN_SAMPLES = 1_280;
/** More tokens than audio: those of the padding behind it, and of restarts. */
const EXTRA_TOKENS = 100;
/** Far above any token of a text. A process that prints more is broken. */
const MAX_TOKEN_CHARS = 128;
const MAX_UNREAD_EVENTS = 4_096;
/** With less, voxtral.c fails instead of hearing nothing. */
const MIN_AUDIO_BYTES = 4;

export type ProcessLog = (event: string, fields: Record<string, unknown>) => void;

export interface ProcessStreamDeps {
  readonly clock: Clock;
  readonly origin: StreamOrigin;
  readonly startChild: (listener: ChildListener) => SpeechChild;
  readonly metrics: ProcessMetrics;
  readonly log: ProcessLog;
  /** How much audio the model hears before it prints a word of it. */
  readonly delaySamples: number;
  /** A word that nothing was added to for so long is complete. */
  readonly quietMs: number;
  /** Nothing of it is left, its process included. */
  readonly onGone: () => void;
}

/**
 * One segment, decoded by a process of its own, which is started by the first audio. It never starts another one: its
 * caller does, by opening the next stream.
 *
 * The process prints bare text, so word times are rough: a word ends at the audio written when its last piece came, less
 * the model's delay. That is hardly ever early, but late by what the process had not heard by then: up to its interval and
 * one read of 256 ms, and the 0.3 s in the pipe where audio is written faster than it comes in.
 */
export class ProcessStream implements EngineStream {
  readonly #deps: ProcessStreamDeps;
  readonly #queue = new EventQueue<EngineEvent>();
  readonly #splitter = new WordSplitter();
  readonly #work = new WorkMeter();
  #child: SpeechChild | undefined;
  #pid: number | undefined;
  #state: 'open' | 'finishing' | 'closed' = 'open';
  #fault: StreamFault | undefined;
  #pending: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #quiet: Timer | undefined;
  #writtenBytes = 0;
  #finishedAtMs = 0;
  #printedChars = 0;
  #wordCount = 0;
  #tail = '';
  #unread = 0;

  constructor(deps: ProcessStreamDeps) {
    this.#deps = deps;
  }

  get events(): AsyncIterable<EngineEvent> {
    return { [Symbol.asyncIterator]: () => this.#read() };
  }

  async write(pcm: Buffer): Promise<void> {
    if (this.#fault) throw this.#fault;
    if (this.#state === 'closed' || pcm.length === 0) return;
    if (this.#state === 'finishing') throw new Error('audio was written after finish');
    if (this.#pending) throw new Error('audio was written before the last write settled');
    const child = this.#child ?? this.#startChild();
    const startedAtMs = this.#deps.clock.now();
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      // Rejected as soon as its last words are here.
      if (child.hasExited) return;
      this.#writtenBytes += pcm.length;
      child.write(pcm, () => this.#onTaken(pcm.length, startedAtMs));
    });
  }

  finish(): void {
    if (this.#state !== 'open') return;
    this.#state = 'finishing';
    if (this.#writtenBytes < MIN_AUDIO_BYTES) return this.#succeed();
    if (!this.#pending) this.#endInput();
  }

  abort(): void {
    this.#close();
    this.#child?.terminate();
  }

  /** Ends the process as it ends by itself, for at most `graceMs`; the stream fails at once. Settles when all is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#close(new StreamFault('closed', 'the engine was stopped', { retryable: false }));
    await this.#child?.stop(graceMs);
  }

  #startChild(): SpeechChild {
    const { clock, log, startChild } = this.#deps;
    const startedAtMs = clock.now();
    const child = startChild({
      onText: (text) => this.#onText(text),
      onGone: (end) => {
        this.#onGone(end);
        const { chunksProcessed, audioMs, inferMs, realtimeFactor } = this.#work.work();
        log('child_stopped', {
          ...this.#ids(),
          how: end.how,
          livedMs: Math.round(clock.now() - startedAtMs),
          chunks: chunksProcessed,
          audioMs: Math.round(audioMs),
          inferMs: Math.round(inferMs),
          rtf: round(realtimeFactor),
        });
      },
    });
    this.#child = child;
    this.#pid = child.pid;
    if (child.pid !== undefined) log('child_started', this.#ids());
    return child;
  }

  #ids(): Record<string, unknown> {
    const { sessionId, utterance, attempt } = this.#deps.origin;
    return { engine: 'process', pid: this.#pid, sid: sessionId, utterance, attempt };
  }

  #onTaken(bytes: number, startedAtMs: number): void {
    const pending = this.#pending;
    if (!pending) return;
    const inferMs = this.#deps.clock.now() - startedAtMs;
    for (const meter of [this.#work, this.#deps.metrics.meter])
      meter.addChunk(bytes / BYTES_PER_SAMPLE, inferMs);
    this.#pending = undefined;
    if (this.#state === 'finishing') this.#endInput();
    pending.resolve();
  }

  #endInput(): void {
    this.#finishedAtMs = this.#deps.clock.now();
    this.#child?.end();
  }

  #onText(text: string): void {
    if (this.#state === 'closed') return;
    this.#printedChars += text.length;
    if (this.#printedChars > (this.#tokens + EXTRA_TOKENS) * MAX_TOKEN_CHARS) {
      return this.#fail('other', 'it prints far more than can be said');
    }
    this.#emit(this.#splitter.push(text, this.#heardSample));
    this.#quiet?.cancel();
    if (this.#splitter.tail === '') return;
    this.#quiet = this.#deps.clock.after(this.#deps.quietMs, () =>
      this.#emit(this.#splitter.settle()),
    );
  }

  #onGone(end: ChildEnd): void {
    if (this.#state !== 'closed') this.#settle(end);
    this.#deps.onGone();
  }

  #settle(end: ChildEnd): void {
    if (end.kind === 'unstarted') {
      this.#fail('unreachable', `it could not be started: ${end.how}`);
    } else if (this.#state === 'open' || this.#pending) {
      this.#fail('closed', `it ended before its audio did: ${end.how}`);
    } else {
      const restMs = this.#deps.clock.now() - this.#finishedAtMs;
      for (const meter of [this.#work, this.#deps.metrics.meter]) meter.addRest(restMs);
      if (end.code === 0) this.#succeed();
      else this.#fail('closed', `it failed at the end of its audio: ${end.how}`);
    }
  }

  #succeed(): void {
    this.#emit(this.#splitter.settle());
    this.#push({
      kind: 'end',
      promptTokens: Math.ceil(this.#tokens),
      completionTokens: this.#wordCount,
    });
    if (!this.#fault) this.#deps.metrics.succeeded();
    this.#close();
    // Only where it had too little audio to end by itself.
    this.#child?.terminate();
  }

  /** A word cut off by the failure is not told: the audio behind the last word is to be heard again. */
  #fail(fault: 'unreachable' | 'closed' | 'other', how: string): void {
    if (this.#state === 'closed') return;
    const error = new StreamFault(fault, `the speech process failed: ${how}`);
    this.#deps.metrics.failed(error.message);
    this.#close(error);
    this.#child?.terminate();
  }

  #close(error?: StreamFault): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#fault = error;
    this.#quiet?.cancel();
    const pending = this.#pending;
    this.#pending = undefined;
    if (error) pending?.reject(error);
    else pending?.resolve();
    this.#queue.end(error);
    if (!this.#child) this.#deps.onGone();
  }

  get #tokens(): number {
    return this.#writtenBytes / BYTES_PER_SAMPLE / TOKEN_SAMPLES;
  }

  /** The audio that the text printed now was made of, at the most. After the end of the audio nothing is held back. */
  get #heardSample(): number {
    const samples = Math.floor((this.#child?.writtenBytes ?? 0) / BYTES_PER_SAMPLE);
    return this.#state === 'finishing' ? samples : Math.max(0, samples - this.#deps.delaySamples);
  }

  #emit(words: readonly Word[]): void {
    const { tail } = this.#splitter;
    if (words.length === 0 && tail === this.#tail) return;
    this.#tail = tail;
    this.#wordCount += words.length;
    this.#push({ kind: 'words', words, tail });
  }

  #push(event: EngineEvent): void {
    this.#unread += 1;
    if (this.#unread > MAX_UNREAD_EVENTS) this.#fail('other', 'its words were not read');
    else this.#queue.push(event);
  }

  async *#read(): AsyncGenerator<EngineEvent, void> {
    for await (const event of this.#queue) {
      this.#unread -= 1;
      yield event;
    }
  }
}

/** To three places, for logs. */
function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
