import { fleetKeys } from '@voice-fleet/fleet/keys';
import { Redis } from 'ioredis';

const FLEET = 'default';

export interface FleetSample {
  /** Slots of live, ready workers. */
  readonly slots: number;
  /** Live leases. */
  readonly leased: number;
  /** Live tickets in the waiting line. */
  readonly waiting: number;
}

/** What Redis knows of the fleet, read past the fleet's own code: with its keys, but without its scripts. */
export class FleetView implements AsyncDisposable {
  readonly #redis: Redis;
  readonly #keys = fleetKeys(FLEET);

  constructor(url: string) {
    // Redis is killed on purpose; whoever asks meanwhile waits.
    this.#redis = new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: null });
    this.#redis.on('error', () => undefined);
  }

  /** All at one moment. */
  async sample(): Promise<FleetSample> {
    const { workers, beats, leases, ticketEnds } = this.#keys;
    const [time, records, live, ends, tickets] = (await this.#redis
      .multi()
      .time()
      .hgetall(workers)
      .zrange(beats, 0, -1, 'WITHSCORES')
      .zrange(leases, 0, -1, 'WITHSCORES')
      .zrange(ticketEnds, 0, -1, 'WITHSCORES')
      .exec()) as [
      [null, [string, string]],
      [null, Record<string, string>],
      [null, string[]],
      [null, string[]],
      [null, string[]],
    ];
    const nowMs = Number(time[1][0]) * 1000 + Number(time[1][1]) / 1000;
    const isLive = (_: string, at: number, all: string[]): boolean =>
      at % 2 === 0 && Number(all[at + 1]) > nowMs;
    const slots = live[1].filter(isLive).reduce((sum, id) => {
      const json = records[1][id];
      if (json === undefined) return sum;
      const record = JSON.parse(json) as { state: string; slots: number };
      return record.state === 'ready' ? sum + record.slots : sum;
    }, 0);
    return {
      slots,
      leased: ends[1].filter(isLive).length,
      waiting: tickets[1].filter(isLive).length,
    };
  }

  /** Ids of sessions by worker id. */
  async sessionsByWorker(): Promise<Map<string, string[]>> {
    const leases = await this.#redis.hvals(this.#keys.leaseData);
    const held = new Map<string, string[]>();
    for (const json of leases) {
      const { worker, session } = JSON.parse(json) as { worker: string; session: string };
      held.set(worker, [...(held.get(worker) ?? []), session]);
    }
    return held;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#redis.disconnect();
  }
}
