import { backoffMs } from '@voice-fleet/runtime/backoff';
import { type Clock, sleep, type Timer } from '@voice-fleet/runtime/clock';
import { SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { BEHIND_MS } from '../../capacity/capacity-loop.ts';
import { counterDelta, parseVllmMetrics } from '../../capacity/prometheus-text.ts';
import type {
  AsrEngine,
  EngineCapabilities,
  EngineHealth,
  EngineLoad,
  EngineState,
  EngineStream,
  EngineWork,
  StreamOrigin,
  VoiceState,
} from '../engine.ts';
import { VOXTRAL_LANGUAGES } from '../voxtral.ts';
import { FrameMeter } from './frame-meter.ts';
import { checkServer, isHealthy, readMetrics, WrongServer } from './server-facts.ts';
import { VllmStream } from './stream.ts';
import { WATCH_DEFAULTS, type WatchSettings } from './stream-watch.ts';
import { DeltaTiming } from './timing.ts';
import { type PoolStats, UpstreamPool } from './upstream-pool.ts';

const WATCH_INTERVAL_MS = 250;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 5_000;
/** The first utterance compiles: minutes on a cold cache. */
const WARM_UP: WatchSettings = {
  firstDeltaMs: 300_000,
  cadenceMs: 60_000,
  doneMs: 60_000,
  slowMs: 600_000,
};
const WARM_UP_SAMPLES = 2 * SAMPLE_RATE;
const CANARY_SAMPLES = SAMPLE_RATE;
/** Canaries in a row. */
const MAX_FAILED_CANARIES = 2;
/** While one has failed. */
const CANARY_RETRY_MS = 1_000;

export const VLLM_CAPABILITIES: EngineCapabilities = {
  streaming: true,
  gpu: true,
  languages: VOXTRAL_LANGUAGES,
  minMemoryMiB: 16_384,
  tellsHeard: true,
};

export interface VllmStats extends PoolStats {
  /** From sending the audio that a delta needs to that delta. Called for each: must be cheap. */
  onLatency(latencyMs: number): void;
  onCanary(outcome: 'passed' | 'failed' | 'skipped'): void;
}

const FRAME_MS = 80;

export interface VllmDeps {
  readonly baseUrl: string;
  /** As in vLLM's `--served-model-name`. */
  readonly model: string;
  readonly apiKey: string | undefined;
  /** Where the first utterance does not tell it; a multiple of 80. */
  readonly delayMs: number;
  readonly spares: number;
  readonly dialTimeoutMs: number;
  readonly canaryIntervalMs: number;
  readonly watch?: WatchSettings;
  /** Until the worker has measured. */
  readonly slots: number;
  readonly clock: Clock;
  readonly stats: VllmStats;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
}

/**
 * Voxtral behind `vllm serve`. Ready when the server is the right one and has transcribed something; from then on checked
 * by what it answers to sessions, and where there are none by an utterance of its own: its `/health` says yes for dead.
 */
export class VllmEngine implements AsrEngine {
  readonly name = 'vllm';
  readonly model: string;
  readonly capabilities = VLLM_CAPABILITIES;
  readonly slots: number;
  readonly #deps: VllmDeps;
  readonly #pool: UpstreamPool;
  readonly #streams = new Set<VllmStream>();
  readonly #stopped = new AbortController();
  #timing: DeltaTiming;
  #state: EngineState = 'uninitialized';
  #reason: string | undefined = 'not started';
  #watch: Timer | undefined;
  #running: Promise<void> | undefined;
  readonly #meter: FrameMeter;
  /** For what the warm-up and the canaries bring, which is no load. */
  readonly #noMeter = new FrameMeter(() => undefined);
  #measuredAtMs: number;
  #preemptions: number | undefined;
  #served = false;
  /** Frames answered until the last canary. */
  #answered = 0;
  /** Ends the wait for the next canary. */
  #hurry: (() => void) | undefined;

  constructor(deps: VllmDeps) {
    this.#deps = deps;
    this.model = deps.model;
    this.slots = deps.slots;
    this.#meter = new FrameMeter(deps.stats.onLatency);
    this.#measuredAtMs = deps.clock.now();
    this.#timing = DeltaTiming.longest();
    this.#pool = new UpstreamPool(deps);
  }

  /** Undefined until the first utterance has told it. */
  get delayMs(): number | undefined {
    return this.#served ? this.#timing.delayFrames * FRAME_MS : undefined;
  }

  async start(): Promise<void> {
    if (this.#running) throw new Error('the engine is started once');
    this.#watch = this.#deps.clock.every(WATCH_INTERVAL_MS, () => {
      for (const stream of this.#streams) stream.check();
    });
    await new Promise<void>((resolve, reject) => {
      this.#running = this.#run(resolve).catch((error: unknown) => {
        if (this.#stopped.signal.aborted) return reject(new Error('the engine was stopped'));
        this.#set('error', error instanceof Error ? error.message : String(error));
        reject(error);
      });
    });
  }

  health(): EngineHealth {
    return this.#reason === undefined
      ? { state: this.#state }
      : { state: this.#state, reason: this.#reason };
  }

  work(): EngineWork {
    return this.#meter.work();
  }

  async measure(): Promise<EngineLoad> {
    const text = await readMetrics(this.#deps, this.#stopped.signal);
    const metrics = text === undefined ? undefined : parseVllmMetrics(text);
    const nowMs = this.#deps.clock.now();
    const frames = this.#meter.take(nowMs - this.#measuredAtMs);
    this.#measuredAtMs = nowMs;
    const preemptions = counterDelta(this.#preemptions, metrics?.preemptions);
    this.#preemptions = metrics?.preemptions;
    let behind = 0;
    for (const { waitingSinceMs } of this.#streams)
      if (waitingSinceMs !== undefined && nowMs - waitingSinceMs > BEHIND_MS) behind += 1;
    return {
      frames,
      behind,
      kvUsage: metrics?.kvUsage,
      waitingForCapacity: metrics?.waitingForCapacity,
      preemptions,
    };
  }

  open(voice: VoiceState, { traceparent }: Partial<StreamOrigin> = {}): EngineStream {
    const { watch = WATCH_DEFAULTS } = this.#deps;
    return this.#open(voice, watch, this.#meter, traceparent);
  }

  async stop(): Promise<void> {
    this.#set('unloading', 'stopped');
    this.#stopped.abort();
    this.#hurry?.();
    this.#watch?.cancel();
    for (const stream of this.#streams) stream.abort();
    this.#pool.stop();
    await this.#running;
  }

  #open(
    voice: VoiceState,
    watch: WatchSettings,
    meter: FrameMeter,
    traceparent?: string,
  ): VllmStream {
    const stream: VllmStream = new VllmStream({
      pool: this.#pool,
      timing: this.#timing,
      watch,
      clock: this.#deps.clock,
      voice,
      meter,
      traceparent,
      onFault: () => this.#doubt(),
      onClosed: () => this.#streams.delete(stream),
    });
    this.#streams.add(stream);
    return stream;
  }

  /** Loads, serves, and loads again when the server is lost, for as long as the engine runs. */
  async #run(onReady: () => void): Promise<void> {
    for (;;) {
      await this.#load();
      onReady();
      await this.#serve();
    }
  }

  async #load(): Promise<void> {
    const { log, clock, model } = this.#deps;
    const { signal } = this.#stopped;
    for (let attempt = 0; ; attempt += 1) {
      try {
        this.#set('loading', this.#reason ?? 'waiting for vLLM');
        const { version } = await checkServer(this.#deps, model, signal);
        this.#pool.start();
        this.#timing = DeltaTiming.longest();
        this.#set('warming_up', 'the first utterance is under way');
        const startedMs = clock.now();
        const promptTokens = await this.#transcribe(WARM_UP_SAMPLES, WARM_UP);
        this.#timing =
          DeltaTiming.fromPromptTokens(promptTokens) ??
          new DeltaTiming(this.#deps.delayMs / FRAME_MS);
        this.#served = true;
        this.#set('ready', undefined);
        log('engine_ready', {
          engine: this.name,
          version,
          delayMs: this.delayMs,
          warmUpMs: Math.round(clock.now() - startedMs),
        });
        return;
      } catch (error) {
        // Once served, a wrong server is one that is being replaced.
        if (signal.aborted || (error instanceof WrongServer && !this.#served)) throw error;
        const message = error instanceof Error ? error.message : String(error);
        const restartInMs = backoffMs(attempt, FIRST_RETRY_MS, LONGEST_RETRY_MS);
        if (this.#reason !== message) log('engine_not_ready', { engine: this.name, why: message });
        this.#set('loading', message);
        await sleep(clock, restartInMs, signal);
      }
    }
  }

  /** Settles when the server is lost. */
  async #serve(): Promise<void> {
    const { canaryIntervalMs, stats, log } = this.#deps;
    const { signal } = this.#stopped;
    for (let failed = 0; ; ) {
      // The second canary is not hurried: a blink of the network must not look like two.
      const doubted =
        failed > 0
          ? await sleep(this.#deps.clock, CANARY_RETRY_MS, signal).then(() => true)
          : await this.#pause(canaryIntervalMs);
      const answered = this.#meter.answered - this.#answered;
      this.#answered += answered;
      if (answered > 0 && failed === 0 && !doubted) {
        stats.onCanary('skipped');
        continue;
      }
      try {
        if (!(await isHealthy(this.#deps, signal))) throw new Error('/health does not answer 200');
        await this.#transcribe(CANARY_SAMPLES, this.#deps.watch ?? WATCH_DEFAULTS);
        stats.onCanary('passed');
        failed = 0;
      } catch (error) {
        if (signal.aborted) throw error;
        stats.onCanary('failed');
        failed += 1;
        const why = error instanceof Error ? error.message : String(error);
        log('canary_failed', { engine: this.name, why, failed });
        if (failed < MAX_FAILED_CANARIES) continue;
        this.#set('error', why);
        log('engine_down', { engine: this.name, why });
        return;
      }
    }
  }

  /** Waits for the next canary; settles with true when that is due because a stream failed. */
  async #pause(delayMs: number): Promise<boolean> {
    let doubted = false;
    await new Promise<void>((resolve) => {
      const timer = this.#deps.clock.after(delayMs, resolve);
      this.#hurry = () => {
        doubted = true;
        timer.cancel();
        resolve();
      };
    });
    this.#hurry = undefined;
    this.#stopped.signal.throwIfAborted();
    return doubted;
  }

  /** A stream failed: perhaps it was not the only one. */
  #doubt(): void {
    this.#hurry?.();
  }

  /** Has silence transcribed; settles with the prompt tokens it took. */
  async #transcribe(samples: number, watch: WatchSettings): Promise<number> {
    const stream = this.#open({}, watch, this.#noMeter);
    try {
      await stream.write(Buffer.alloc(samples * 2));
      stream.finish();
      for await (const event of stream.events) if (event.kind === 'end') return event.promptTokens;
      throw new Error('the engine was stopped');
    } finally {
      stream.abort();
    }
  }

  #set(state: EngineState, reason: string | undefined): void {
    if (this.#state === 'unloading') return;
    this.#state = state;
    this.#reason = reason;
  }
}
