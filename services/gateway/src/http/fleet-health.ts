import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { Capacity } from '@voice-fleet/fleet/worker';

/** `model_load_failed`: there is no worker, and the last ones ended because they could not load their model. */
export type NotReady =
  | 'redis_unavailable'
  | 'no_workers'
  | 'model_load_failed'
  | 'full'
  | 'stopping';

/** Whether sessions can be admitted. A type, not an interface, so that it can be answered as plain JSON. */
export type FleetReadiness = {
  ready: boolean;
  reason?: NotReady;
  slots?: number;
  leased?: number;
  workers?: number;
};

/** What the health endpoints say of the fleet. Anyone may ask, so there is one question to Redis at a time for all who do. */
export class FleetHealth {
  readonly #capacity: () => Promise<Capacity>;
  readonly #maxSessions: number;
  #asking: Promise<FleetReadiness> | undefined;
  #stopping = false;
  #everReady = false;
  lastReason: NotReady | undefined;

  constructor(capacity: () => Promise<Capacity>, maxSessions: number) {
    this.#capacity = capacity;
    this.#maxSessions = maxSessions;
  }

  /** From now on this gateway is not ready, whatever the fleet is. */
  stop(): void {
    this.#stopping = true;
  }

  async everReady(): Promise<boolean> {
    if (!this.#everReady) await this.readiness();
    return this.#everReady;
  }

  async readiness(): Promise<FleetReadiness> {
    if (this.#stopping) return { ready: false, reason: 'stopping' };
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    const readiness = await this.#asking;
    this.lastReason = readiness.reason;
    // A full fleet is up as well.
    if (readiness.ready || readiness.reason === 'full') this.#everReady = true;
    return readiness;
  }

  async #ask(): Promise<FleetReadiness> {
    try {
      const { readyWorkers, failedWorkers, slots, leased, free } = await this.#capacity();
      const limit = this.#maxSessions > 0 ? Math.min(this.#maxSessions, slots) : slots;
      const facts = { slots: limit, leased, workers: readyWorkers };
      if (readyWorkers === 0) {
        const reason = failedWorkers > 0 ? 'model_load_failed' : 'no_workers';
        return { ready: false, reason, ...facts };
      }
      if (free === 0 || leased >= limit) return { ready: false, reason: 'full', ...facts };
      return { ready: true, ...facts };
    } catch (error) {
      if (error instanceof RedisUnavailable) return { ready: false, reason: 'redis_unavailable' };
      throw error;
    }
  }
}
