import { resolve } from 'node:path';
import type { Clock } from '@voice-fleet/runtime/clock';
import { msToSamples, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import type {
  AsrEngine,
  EngineCapabilities,
  EngineHealth,
  EngineState,
  EngineStream,
  StreamOrigin,
  VoiceState,
} from '../engine.ts';
import { VOXTRAL_LANGUAGES } from '../voxtral.ts';
import {
  type ProcessAvailability,
  type ProcessFiles,
  processAvailability,
} from './availability.ts';
import { type ChildListener, ProcessChild, type SpeechChild } from './child.ts';
import { ProcessMetrics, type ProcessStats } from './metrics.ts';
import { type ProcessLog, ProcessStream } from './stream.ts';
import { UnavailableStream } from './unavailable-stream.ts';
import { WarmUp } from './warm-up.ts';

/** What voxtral.c reads from its input at once: 256 ms. */
const READ_SAMPLES = 4_096;
/** An unfinished word goes on in the next interval, which may take a while to decode. */
const QUIET_INTERVALS = 2;

/** Voxtral Realtime in voxtral.c on a CPU. Memory: weights of 8.9 GB, a cache of 1.8 GB at the most, 0.2 GB of buffers. */
export const PROCESS_CAPABILITIES: EngineCapabilities = {
  streaming: true,
  gpu: false,
  languages: VOXTRAL_LANGUAGES,
  minMemoryMiB: 10_395,
  endless: true,
  timeErrorSamples: SAMPLE_RATE,
};

/** `voxtral.c`'s own delay, which its program cannot change, and what its caller waits for it. */
export const PROCESS_DEFAULTS = {
  intervalS: 0.5,
  modelDelayMs: 480,
  startTimeoutMs: 120_000,
  stopGraceMs: 5_000,
} as const;

export interface ProcessSettings extends ProcessFiles {
  /** Name under which clients may ask for it. */
  readonly model: string;
  /** Further arguments, behind the engine's own. */
  readonly args?: readonly string[];
  /** The whole environment of the processes; absent: the worker's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** `-I`: how much audio is encoded at once. It says nothing about the model's delay. */
  readonly intervalS: number;
  /** How much later than the audio of a word the model prints it. Only told, not set: the program has no option for it. */
  readonly modelDelayMs: number;
  /** The first run, with the loading of the model from a slow disk, may take so long. */
  readonly startTimeoutMs: number;
  /** A process whose input has ended may live on for so long when the engine stops. */
  readonly stopGraceMs: number;
  /** Processes at the same time; each holds a model of its own. */
  readonly slots: number;
}

export interface ProcessDeps {
  readonly clock: Clock;
  readonly log?: ProcessLog;
}

/** Speech recognition by a program in the manner of voxtral.c: audio on its input, text on its output, one process for each stream. */
export class ProcessEngine implements AsrEngine {
  readonly name = 'process';
  readonly model: string;
  readonly slots: number;
  readonly delayMs: number;
  readonly capabilities: EngineCapabilities;
  readonly #settings: ProcessSettings;
  readonly #clock: Clock;
  readonly #log: ProcessLog;
  readonly #metrics = new ProcessMetrics();
  readonly #streams = new Set<ProcessStream>();
  #state: EngineState = 'uninitialized';
  #reason: string | undefined = 'not started';
  #warmUp: WarmUp | undefined;
  #warmUpOver: Promise<void> | undefined;

  constructor(settings: ProcessSettings, deps: ProcessDeps) {
    this.#settings = settings;
    this.#clock = deps.clock;
    this.#log = deps.log ?? (() => {});
    this.model = settings.model;
    this.slots = settings.slots;
    this.delayMs = settings.modelDelayMs;
    const spokenAtOnce = Math.round(settings.intervalS * SAMPLE_RATE) + READ_SAMPLES;
    this.capabilities = {
      ...PROCESS_CAPABILITIES,
      timeErrorSamples: Math.max(SAMPLE_RATE, spokenAtOnce),
    };
  }

  /** Whether it could start, seen from its files alone. */
  static availability(files: ProcessFiles): ProcessAvailability {
    return processAvailability(files);
  }

  availability(): ProcessAvailability {
    return processAvailability(this.#settings);
  }

  async start(): Promise<void> {
    if (this.#state !== 'uninitialized') throw new Error('the engine is started once');
    const { reason } = this.availability();
    try {
      if (reason !== undefined) throw new Error(reason);
      this.#state = 'warming_up';
      this.#reason = 'the speech process is tried out';
      this.#warmUp = new WarmUp(this.#clock, this.#settings.startTimeoutMs);
      const warmUp = this.#warmUp.run((listener) => this.#startWarmUpChild(listener));
      this.#warmUpOver = warmUp.catch(() => {});
      await warmUp;
    } catch (error) {
      this.#enter('error', (error as Error).message);
      throw error;
    }
    this.#enter('ready', undefined);
  }

  health(): EngineHealth {
    return this.#reason === undefined
      ? { state: this.#state }
      : { state: this.#state, reason: this.#reason };
  }

  work(): ProcessStats {
    return this.#metrics.stats();
  }

  open(_voice: VoiceState, origin: StreamOrigin): EngineStream {
    const { missing, available } = this.availability();
    if (!available) return new UnavailableStream(missing);
    const stream: ProcessStream = new ProcessStream({
      clock: this.#clock,
      origin,
      metrics: this.#metrics,
      log: this.#log,
      startChild: (listener) => this.#startChild(listener),
      delaySamples: msToSamples(this.#settings.modelDelayMs),
      quietMs: QUIET_INTERVALS * this.#settings.intervalS * 1_000,
      onGone: () => this.#streams.delete(stream),
    });
    this.#streams.add(stream);
    if (this.#state === 'unloading') void stream.stop(0);
    return stream;
  }

  /** Settles when no process is left. */
  async stop(): Promise<void> {
    this.#state = 'unloading';
    this.#reason = 'the engine was stopped';
    this.#warmUp?.cancel('the engine was stopped');
    const graceMs = this.#settings.stopGraceMs;
    const streams = [...this.#streams].map((stream) => stream.stop(graceMs));
    await Promise.all([this.#warmUpOver, ...streams]);
  }

  /** A stopped engine stays stopped. */
  #enter(state: EngineState, reason: string | undefined): void {
    if (this.#state === 'unloading') return;
    this.#state = state;
    this.#reason = reason;
  }

  #startChild(listener: ChildListener): SpeechChild {
    const { binary, modelDir, intervalS, args = [], env } = this.#settings;
    const command = {
      binary: resolve(binary),
      args: ['-d', modelDir, '--stdin', '-I', String(intervalS), '--silent', ...args],
      ...(env ? { env } : {}),
    };
    const child: SpeechChild = new ProcessChild(command, this.#clock, {
      ...listener,
      onGone: (end) => {
        if (child.pid !== undefined) this.#metrics.childGone();
        listener.onGone(end);
      },
    });
    if (child.pid !== undefined) this.#metrics.childStarted();
    return child;
  }

  #startWarmUpChild(listener: ChildListener): SpeechChild {
    const startedAtMs = this.#clock.now();
    const child: SpeechChild = this.#startChild({
      ...listener,
      onGone: (end) => {
        const livedMs = Math.round(this.#clock.now() - startedAtMs);
        this.#log('child_stopped', { engine: 'process', pid: child.pid, how: end.how, livedMs });
        listener.onGone(end);
      },
    });
    if (child.pid === undefined) return child;
    this.#log('child_started', { engine: 'process', pid: child.pid, for: 'warm-up' });
    return child;
  }
}
