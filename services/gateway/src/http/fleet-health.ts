import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { Capacity } from '@voice-fleet/fleet/worker';

type NotReady = 'redis_unavailable' | 'no_workers' | 'full' | 'stopping';

/** Whether sessions can be admitted. A type, not an interface, so that it can be answered as plain JSON. */
export type FleetReadiness = {
  ready: boolean;
  reason?: NotReady;
  slots?: number;
  leased?: number;
  workers?: number;
};

/** What the health endpoints say. Asks Redis each time: nothing about capacity is kept in this process. */
export class FleetHealth {
  readonly #capacity: () => Promise<Capacity>;
  readonly #maxSessions: number;
  #everReady = false;
  lastReason: NotReady | undefined;

  constructor(capacity: () => Promise<Capacity>, maxSessions: number) {
    this.#capacity = capacity;
    this.#maxSessions = maxSessions;
  }

  async everReady(): Promise<boolean> {
    if (!this.#everReady) await this.readiness();
    return this.#everReady;
  }

  async readiness(): Promise<FleetReadiness> {
    const readiness = await this.#ask();
    this.lastReason = readiness.reason;
    // A full fleet is up as well.
    if (readiness.ready || readiness.reason === 'full') this.#everReady = true;
    return readiness;
  }

  async #ask(): Promise<FleetReadiness> {
    try {
      const { readyWorkers, slots, leased, free } = await this.#capacity();
      const limit = this.#maxSessions > 0 ? Math.min(this.#maxSessions, slots) : slots;
      const facts = { slots: limit, leased, workers: readyWorkers };
      if (readyWorkers === 0) return { ready: false, reason: 'no_workers', ...facts };
      if (free === 0 || leased >= limit) return { ready: false, reason: 'full', ...facts };
      return { ready: true, ...facts };
    } catch (error) {
      if (error instanceof RedisUnavailable) return { ready: false, reason: 'redis_unavailable' };
      throw error;
    }
  }
}
