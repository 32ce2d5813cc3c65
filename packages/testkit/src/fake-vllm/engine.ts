import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { EngineMetrics } from './metrics.ts';
import type { Utterance } from './utterance.ts';

/** How fast the one GPU is, and what fits into it. */
export interface EngineLimits {
  /** A step of n utterances lasts baseMs + perSequenceMs × n; 0 is as fast as possible. */
  readonly baseMs: number;
  readonly perSequenceMs: number;
  readonly maxNumSeqs: number;
  readonly maxModelLen: number;
  readonly kvPoolMib: number;
}

export interface EngineDeps {
  readonly clock: Clock;
  readonly limits: EngineLimits;
  readonly metrics: EngineMetrics;
  /** Runs something after the events that wait now: steps that take no time must let sockets be read between them. */
  readonly soon: (run: () => void) => void;
  /** It died, with all utterances. */
  readonly onCrash: () => void;
}

/**
 * One GPU in lock step: every step takes the utterances whose next token can be computed and gives one token to each. The
 * others wait for the next step, so a step that is longer than a frame makes everybody fall behind.
 */
export class EngineLoop {
  readonly #deps: EngineDeps;
  readonly #live = new Set<Utterance>();
  /** In the order in which they became ready. */
  #pending: Utterance[] = [];
  #batch: Utterance[] = [];
  #isStepping = false;
  #timer: Timer | undefined;
  /** How long the present or last step lasts, and when it is due to end. */
  #stepMs = 0;
  #stepEndMs = 0;
  /** The present step was due while the engine hung. */
  #isOverdue = false;
  #usedKvMib = 0;
  #isHung = false;
  #isStopped = false;
  /** Every step lasts so many times longer. */
  slowFactor = 1;

  constructor(deps: EngineDeps) {
    this.#deps = deps;
  }

  /** Utterances begun and neither ended nor aborted. */
  get live(): ReadonlySet<Utterance> {
    return this.#live;
  }

  /** KV cache in use, in MiB. */
  get usedKvMib(): number {
    return this.#usedKvMib;
  }

  /** No step ends any more, and no other begins, until `resume`. */
  hang(): void {
    this.#isHung = true;
  }

  resume(): void {
    this.#isHung = false;
    const nowMs = this.#deps.clock.now();
    if (!this.#isOverdue) return this.#begin(nowMs);
    this.#isOverdue = false;
    this.#stepEndMs = nowMs;
    this.#deps.soon(() => this.#finish());
  }

  begin(utterance: Utterance): void {
    this.#live.add(utterance);
    this.wake(utterance);
  }

  /** The utterance got audio, or its end. */
  wake(utterance: Utterance): void {
    if (utterance.isQueued || utterance.next === 'none') return;
    utterance.isQueued = true;
    utterance.pendingSinceMs = this.#deps.clock.now();
    this.#pending.push(utterance);
    this.#begin(utterance.pendingSinceMs);
  }

  /** Frees everything at once, as vLLM does for an aborted request; also after its end. */
  remove(utterance: Utterance): void {
    if (!this.#live.delete(utterance)) return;
    utterance.close();
    this.#usedKvMib -= utterance.heldKvMib;
    utterance.heldKvMib = 0;
    this.#begin(this.#deps.clock.now());
  }

  /** What reaching max_model_len does: the engine is gone for everybody. */
  crash(): void {
    if (this.#isStopped) return;
    this.stop();
    this.#deps.onCrash();
  }

  /** No step ends any more, and no utterance is left. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    for (const utterance of this.#live) utterance.close();
    this.#live.clear();
    this.#pending = [];
    this.#batch = [];
    this.#usedKvMib = 0;
  }

  /** Takes up to maxNumSeqs utterances that find room in the KV cache. The step counts from `fromMs`. */
  #begin(fromMs: number): void {
    if (this.#isStepping || this.#isHung || this.#isStopped || this.#pending.length === 0) return;
    const { limits, clock, metrics } = this.#deps;
    const left: Utterance[] = [];
    let withoutRoom = 0;
    for (const utterance of this.#pending) {
      if (utterance.isOver) utterance.isQueued = false;
      else if (this.#batch.length >= limits.maxNumSeqs) left.push(utterance);
      else if (this.#hold(utterance)) this.#batch.push(utterance);
      else {
        left.push(utterance);
        if (utterance.deltas === 0) withoutRoom += 1;
      }
    }
    this.#pending = left;
    metrics.observeStep({
      running: this.#batch.length,
      waiting: this.#live.size - this.#batch.length,
      withoutRoom,
      usedKvMib: this.#usedKvMib,
    });
    if (this.#batch.length === 0) return;
    this.#isStepping = true;
    const { baseMs, perSequenceMs } = limits;
    this.#stepMs = (baseMs + perSequenceMs * this.#batch.length) * this.slowFactor;
    this.#stepEndMs = fromMs + this.#stepMs;
    const waitMs = this.#stepEndMs - clock.now();
    if (waitMs <= 0) this.#deps.soon(() => this.#finish());
    else this.#timer = clock.after(waitMs, () => this.#finish());
  }

  #hold(utterance: Utterance): boolean {
    if (utterance.next === 'end') return true;
    const moreMib = utterance.nextKvMib - utterance.heldKvMib;
    if (this.#usedKvMib + moreMib > this.#deps.limits.kvPoolMib) return false;
    utterance.heldKvMib += moreMib;
    this.#usedKvMib += moreMib;
    return true;
  }

  /** The step is due. It ends for all at once, so a hearing that takes its time keeps everybody waiting. */
  #finish(): void {
    this.#timer = undefined;
    this.#isOverdue = this.#isHung;
    if (this.#isHung || this.#isStopped) return;
    let late: Promise<void>[] | undefined;
    for (const utterance of this.#batch) {
      if (utterance.isOver) continue;
      if (utterance.next === 'end') {
        utterance.owner.onEnd();
        continue;
      }
      const text = hear(utterance);
      if (typeof text === 'string') {
        this.#emit(utterance, text);
        if (this.#isStopped) return;
      } else {
        late ??= [];
        late.push(text.then((heard) => this.#settle(utterance, heard)));
      }
    }
    if (late === undefined) return this.#end();
    void Promise.all(late).then(() => {
      this.#stepEndMs = this.#deps.clock.now();
      this.#end();
    });
  }

  #settle(utterance: Utterance, heard: string | Error): void {
    if (this.#isStopped || utterance.isOver) return;
    if (typeof heard === 'string') this.#emit(utterance, heard);
    else utterance.owner.onFailure(heard.message);
  }

  #emit(utterance: Utterance, text: string): void {
    const { clock, metrics, limits } = this.#deps;
    const nowMs = clock.now();
    const promptTokens = utterance.deltas === 0 ? utterance.tokens : 0;
    utterance.owner.onToken(text);
    if (utterance.isOver || utterance.isStarved || this.#isStopped) return;
    utterance.advance(nowMs);
    metrics.observeToken((nowMs - utterance.pendingSinceMs) / 1000, promptTokens);
    if (utterance.tokens >= limits.maxModelLen) this.crash();
  }

  #end(): void {
    if (this.#isStopped) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#isStepping = false;
    const nowMs = this.#deps.clock.now();
    for (const utterance of batch) {
      utterance.isQueued = utterance.next !== 'none';
      if (!utterance.isQueued) continue;
      utterance.pendingSinceMs = nowMs;
      this.#pending.push(utterance);
    }
    // A timer comes late; back to back, the steps must not grow longer by that, or the GPU would be slower than it is said
    // to be. A process that is later than a whole step cannot keep up, and does not try.
    const lateMs = Math.min(nowMs - this.#stepEndMs, this.#stepMs);
    if (this.#pending.length > 0) return this.#begin(nowMs - lateMs);
    const { usedKvMib } = this;
    const waiting = this.#live.size;
    this.#deps.metrics.observeStep({ running: 0, waiting, withoutRoom: 0, usedKvMib });
  }
}

/** A hearing that fails does so in its own utterance only. */
function hear(utterance: Utterance): string | Promise<string | Error> {
  const asError = (error: unknown): Error =>
    error instanceof Error ? error : new Error(String(error));
  try {
    const text = utterance.hearing.frame(utterance.takeFrame(), utterance.deltas);
    return typeof text === 'string' ? text : text.catch(asError);
  } catch (error) {
    return Promise.resolve(asError(error));
  }
}
