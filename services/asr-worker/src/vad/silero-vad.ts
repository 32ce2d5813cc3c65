import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { SileroStep } from './silero-messages.ts';
import { INPUT_SAMPLES, MAX_BATCH } from './silero-model.ts';
import { type Decider, SileroStream } from './silero-stream.ts';
import { SileroThread, type ThreadListener } from './silero-thread-handle.ts';
import type { Vad, VadListener, VadStream } from './vad.ts';

/** How long frames are gathered from all streams before they are judged together: as long as one lasts. */
const GATHER_MS = 32;
/** A frame that waits longer is decided by energy. */
const LATE_MS = 500;
/** A thread that ends so soon after it was started anew is given up. */
const RELAPSE_MS = 600_000;

export interface SileroStats {
  onDecided(by: Decider): void;
  /** How many streams a step had, and what it took with the ways of the messages. */
  onStep(streams: number, tookMs: number): void;
  onRestart(): void;
}

export interface SileroDeps {
  readonly clock: Clock;
  readonly stats: SileroStats;
  readonly log: (event: string, fields: Record<string, unknown>) => void;
  /** The thread ended twice. Every frame was told, but from now on energy decides them all. Not called while it starts. */
  readonly onGivenUp: (how: string) => void;
  readonly startThread?: (listener: ThreadListener) => Pick<SileroThread, keyof SileroThread>;
}

/**
 * Silero over all streams at once, in one thread for all: every 32 ms a frame of each stream that has one, and further ones
 * as long as any wait. When the thread is behind or gone, frames are decided by energy once they have waited for half a
 * second, so the queue of a stream is bounded by time and, for audio that comes faster than real time, by 65 s of it.
 */
export class SileroVad implements Vad {
  readonly name = 'silero' as const;
  readonly #deps: SileroDeps;
  readonly #startThread: (listener: ThreadListener) => Pick<SileroThread, keyof SileroThread>;
  readonly #streams = new Set<SileroStream>();
  /** Those with frames that wait. */
  readonly #busy = new Set<SileroStream>();
  /** Those in the step under way, in its order. */
  readonly #asked: SileroStream[] = [];
  #thread: Pick<SileroThread, keyof SileroThread> | undefined;
  #state: 'starting' | 'ready' | 'given up' | 'stopped' = 'starting';
  /** Not with the thread now. */
  #step: SileroStep | undefined = newStep();
  #steppedMs = 0;
  #restartedMs: number | undefined;
  #tick: Timer | undefined;
  #nextId = 1;
  #starting: { resolve: () => void; reject: (error: Error) => void } | undefined;

  private constructor(deps: SileroDeps) {
    this.#deps = deps;
    this.#startThread = deps.startThread ?? ((listener) => new SileroThread(deps.clock, listener));
  }

  /** Settles when the network is loaded; rejects, saying why, when it cannot be. */
  static async start(deps: SileroDeps): Promise<SileroVad> {
    const vad = new SileroVad(deps);
    await new Promise<void>((resolve, reject) => {
      vad.#starting = { resolve, reject };
      vad.#start();
    });
    return vad;
  }

  open(listener: VadListener): VadStream {
    const stream = new SileroStream({
      id: this.#nextId,
      now: () => this.#deps.clock.now(),
      listener,
      onDecided: (by) => this.#deps.stats.onDecided(by),
      onWaiting: (waiting) => this.#onWaiting(waiting),
      onClosed: (closed) => {
        this.#streams.delete(closed);
        this.#busy.delete(closed);
        if (this.#state === 'ready') this.#thread?.forget(closed.id);
      },
    });
    this.#nextId += 1;
    this.#streams.add(stream);
    return stream;
  }

  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#tick?.cancel();
    for (const stream of this.#streams) stream.close();
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.stop();
  }

  #start(): void {
    this.#state = 'starting';
    this.#step = newStep();
    this.#thread = this.#startThread({
      onReady: () => {
        this.#state = 'ready';
        this.#starting?.resolve();
        this.#starting = undefined;
        this.#ask();
      },
      onStep: (step) => this.#onStep(step),
      onDown: (how) => this.#onDown(how),
    });
  }

  #onWaiting(stream: SileroStream): void {
    if (this.#state === 'given up') return stream.giveUpBefore(Number.POSITIVE_INFINITY);
    this.#busy.add(stream);
    this.#tick ??= this.#deps.clock.after(GATHER_MS, () => this.#onTick());
  }

  #onTick(): void {
    this.#tick = undefined;
    const lateMs = this.#deps.clock.now() - LATE_MS;
    for (const stream of this.#busy) stream.giveUpBefore(lateMs);
    this.#ask();
    // Frames that an idle thread could not be given now, or that are with it, may become late.
    if (this.#busy.size > 0 || this.#asked.length > 0)
      this.#tick ??= this.#deps.clock.after(GATHER_MS, () => this.#onTick());
  }

  /** Gives the thread the next frame of as many streams as it takes at once. */
  #ask(): void {
    const step = this.#step;
    if (step === undefined || this.#state !== 'ready') return;
    for (const stream of this.#busy) {
      if (this.#asked.length === MAX_BATCH) break;
      if (!stream.waiting) {
        this.#busy.delete(stream);
        continue;
      }
      const nth = this.#asked.push(stream) - 1;
      step.streams[nth] = stream.id;
      step.samples.set(stream.ask(), nth * INPUT_SAMPLES);
    }
    if (this.#asked.length === 0) return;
    this.#step = undefined;
    this.#steppedMs = this.#deps.clock.now();
    this.#thread?.step({ ...step, count: this.#asked.length });
  }

  #onStep(step: SileroStep): void {
    const { clock, stats } = this.#deps;
    this.#step = step;
    stats.onStep(step.count, clock.now() - this.#steppedMs);
    for (const [nth, stream] of this.#asked.entries()) {
      stream.answer(step.voices[nth] ?? 0);
      // Behind those that had no turn.
      this.#busy.delete(stream);
      if (stream.waiting) this.#busy.add(stream);
    }
    this.#asked.length = 0;
    this.#ask();
  }

  #onDown(how: string): void {
    const { clock, log, stats, onGivenUp } = this.#deps;
    this.#thread = undefined;
    this.#asked.length = 0;
    if (this.#starting) {
      this.#state = 'given up';
      return this.#starting.reject(new Error(`Silero does not start: ${how}`));
    }
    const nowMs = clock.now();
    const relapsed = this.#restartedMs !== undefined && nowMs - this.#restartedMs < RELAPSE_MS;
    log('vad_thread_down', { how, restarts: !relapsed });
    if (!relapsed) {
      this.#restartedMs = nowMs;
      stats.onRestart();
      this.#start();
    } else this.#state = 'given up';
    // What was with the thread is lost to it.
    this.#busy.clear();
    for (const stream of this.#streams) stream.giveUpBefore(Number.POSITIVE_INFINITY);
    if (relapsed) onGivenUp(how);
  }
}

function newStep(): SileroStep {
  return {
    kind: 'step',
    count: 0,
    streams: new Uint32Array(MAX_BATCH),
    samples: new Int16Array(MAX_BATCH * INPUT_SAMPLES),
    voices: new Float32Array(MAX_BATCH),
  };
}
