import type { YapServerFrame } from '@voice-fleet/protocol/yap';
import type { Clock } from '@voice-fleet/runtime/clock';
import { failureOfFrame, YapTimeout } from './yap-errors.ts';

type Awaited = string | (() => string);

/** The promise's own outcome, or `YapTimeout`; a function for `awaited` is asked at that moment. */
export async function withTimeout<T>(
  clock: Clock,
  promise: Promise<T>,
  awaited: Awaited,
  timeoutMs: number,
): Promise<T> {
  let onTimeout: (error: Error) => void = () => {};
  const timeout = new Promise<never>((_, reject) => {
    onTimeout = reject;
  });
  const timer = clock.after(timeoutMs, () => {
    onTimeout(new YapTimeout(typeof awaited === 'string' ? awaited : awaited(), timeoutMs));
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    timer.cancel();
  }
}

interface Waiter {
  readonly type: YapServerFrame['type'];
  readonly requestId: string | undefined;
  readonly resolve: (frame: YapServerFrame) => void;
  readonly reject: (error: Error) => void;
}

export interface AwaitFrame<T extends YapServerFrame['type']> {
  readonly type: T;
  readonly timeoutMs: number;
  /** Only a frame with this id, and only errors with it or with the id "unknown". */
  readonly requestId?: string;
  readonly awaited?: Awaited;
}

/** Those who wait for a frame of one connection. */
export class FrameWaiters {
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async next<T extends YapServerFrame['type']>(
    options: AwaitFrame<T>,
  ): Promise<Extract<YapServerFrame, { type: T }>> {
    const { type, requestId, timeoutMs } = options;
    let stop = (): void => {};
    const frame = new Promise<YapServerFrame>((resolve, reject) => {
      const waiter: Waiter = { type, requestId, resolve, reject };
      this.#waiters.add(waiter);
      stop = () => void this.#waiters.delete(waiter);
    });
    try {
      const awaited = options.awaited ?? type;
      const found = await withTimeout(this.#clock, frame, awaited, timeoutMs);
      return found as Extract<YapServerFrame, { type: T }>;
    } finally {
      stop();
    }
  }

  receive(frame: YapServerFrame): void {
    for (const waiter of this.#waiters) {
      const mine = waiter.requestId === undefined || waiter.requestId === frame.request_id;
      if (frame.type === waiter.type && mine) waiter.resolve(frame);
      else if (frame.type === 'error' && (mine || frame.request_id === 'unknown')) {
        waiter.reject(failureOfFrame(frame));
      }
    }
  }

  fail(error: Error): void {
    for (const waiter of this.#waiters) waiter.reject(error);
  }
}
