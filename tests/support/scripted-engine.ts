import type {
  AsrEngine,
  EngineCapabilities,
  EngineEvent,
  EngineHealth,
  EngineStream,
} from '@voice-fleet/asr-worker/engines/engine';
import type { Word } from '@voice-fleet/speech/words';
import { WORD_SAMPLES } from '@voice-fleet/testkit/coded-speech';

export interface ScriptedOptions {
  readonly slots?: number;
  readonly model?: string;
  readonly delayMs?: number;
  readonly maxSegmentSamples?: number;
  /** How a recognised number is written; `nth` counts the words of one stream from 0. */
  readonly spell?: (word: number, nth: number) => string;
  /** A word of which less than this part was heard is not recognised. Default 0.5. */
  readonly minHeard?: number;
}

/** Understands `speak()` exactly. Faults are switched on while it runs, as an engine's faults come. */
export class ScriptedEngine implements AsrEngine {
  readonly name = 'scripted';
  readonly model: string;
  readonly slots: number;
  readonly delayMs: number | undefined;
  readonly capabilities: EngineCapabilities;
  readonly streams: ScriptedStream[] = [];
  readonly options: ScriptedOptions;
  /** Samples taken over all streams. */
  takenSamples = 0;
  healthy = true;
  /** The next write fails its stream. */
  failNextWrite = false;
  /** Audio still to be let through before writes stop settling; undefined: no stall. */
  #stallAfterSamples: number | undefined;
  #released: (() => void)[] = [];

  constructor(options: ScriptedOptions = {}) {
    this.options = options;
    this.slots = options.slots ?? 4;
    this.delayMs = options.delayMs;
    this.model = options.model ?? 'scripted-model';
    this.capabilities = {
      streaming: true,
      gpu: false,
      languages: ['en'],
      minMemoryMiB: 1,
      ...(options.maxSegmentSamples ? { maxSegmentSamples: options.maxSegmentSamples } : {}),
    };
  }

  async start(): Promise<void> {}

  health(): EngineHealth {
    return this.healthy ? { state: 'ready' } : { state: 'error', reason: 'scripted fault' };
  }

  open(): EngineStream {
    const stream = new ScriptedStream(this);
    this.streams.push(stream);
    return stream;
  }

  async stop(): Promise<void> {
    this.resume();
    for (const stream of this.streams) stream.abort();
  }

  /** Streams that were neither finished nor aborted. */
  get openStreams(): number {
    return this.streams.filter((stream) => !stream.over).length;
  }

  /** From `afterSamples` more on, writes do not settle until `resume`. */
  stall(afterSamples = 0): void {
    this.#stallAfterSamples = afterSamples;
  }

  resume(): void {
    this.#stallAfterSamples = undefined;
    for (const release of this.#released.splice(0)) release();
  }

  async gate(samples: number): Promise<void> {
    if (this.#stallAfterSamples !== undefined) {
      if (this.#stallAfterSamples >= samples) this.#stallAfterSamples -= samples;
      else await new Promise<void>((resolve) => this.#released.push(resolve));
    }
    this.takenSamples += samples;
  }
}

export class ScriptedStream implements EngineStream {
  readonly #engine: ScriptedEngine;
  readonly #events: EngineEvent[] = [];
  #wake: (() => void) | undefined;
  #closed = false;
  #samples = 0;
  #words = 0;
  #run: { value: number; from: number } | undefined;

  constructor(engine: ScriptedEngine) {
    this.#engine = engine;
  }

  get samples(): number {
    return this.#samples;
  }

  get over(): boolean {
    return this.#closed;
  }

  async write(pcm: Buffer): Promise<void> {
    if (this.#engine.failNextWrite) {
      this.#engine.failNextWrite = false;
      throw new Error('scripted failure');
    }
    await this.#engine.gate(pcm.length >> 1);
    for (let at = 0; at < pcm.length; at += 2) {
      const value = pcm.readInt16LE(at);
      if (this.#run && value !== this.#run.value) this.#settle();
      if (!this.#run && value !== 0) this.#run = { value, from: this.#samples };
      this.#samples += 1;
    }
  }

  finish(): void {
    if (this.#closed) return;
    this.#settle();
    const promptTokens = Math.ceil(this.#samples / 1280);
    this.#emit({ kind: 'end', promptTokens, completionTokens: this.#words });
    this.#close();
  }

  abort(): void {
    this.#events.length = 0;
    this.#close();
  }

  get events(): AsyncIterable<EngineEvent> {
    return { [Symbol.asyncIterator]: () => this.#read() };
  }

  #settle(): void {
    const run = this.#run;
    this.#run = undefined;
    if (run === undefined) return;
    const heard = (this.#samples - run.from) / WORD_SAMPLES;
    if (heard < (this.#engine.options.minHeard ?? 0.5)) return;
    const spelled = this.#engine.options.spell?.(run.value, this.#words) ?? `w${run.value}`;
    const text = this.#words === 0 ? spelled : ` ${spelled}`;
    const word: Word = { text, startSample: run.from, endSample: this.#samples };
    this.#words += 1;
    this.#emit({ kind: 'words', words: [word], tail: '' });
  }

  #emit(event: EngineEvent): void {
    if (this.#closed) return;
    this.#events.push(event);
    this.#wake?.();
  }

  #close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  async *#read(): AsyncGenerator<EngineEvent> {
    for (;;) {
      const event = this.#events.shift();
      if (event) yield event;
      else if (this.#closed) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
