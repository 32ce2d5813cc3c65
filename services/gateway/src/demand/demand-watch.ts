import { randomBytes } from 'node:crypto';
import type { Asked, DemandLedger } from '@voice-fleet/fleet/demand-ledger';
import { RedisUnavailable } from '@voice-fleet/fleet/redis';
import type { Capacity } from '@voice-fleet/fleet/worker';
import type { Clock, Timer } from '@voice-fleet/runtime/clock';
import type { DemandBook } from './demand-book.ts';
import type { DemandMetrics } from './demand-metrics.ts';
import { ANY_MODEL, FleetDemand, type FleetDemandOptions, type FleetLoad } from './fleet-demand.ts';

export interface DemandWatchDeps extends FleetDemandOptions {
  readonly clock: Clock;
  readonly ledger: Pick<DemandLedger, 'exchange'>;
  readonly capacity: () => Promise<Capacity>;
  /** Clients that are held before the line, by the model they name. */
  readonly held: () => ReadonlyMap<string, number>;
  /** Batch jobs that wait or are under way. */
  readonly jobs: () => Promise<number>;
  readonly book: DemandBook;
  readonly metrics: Pick<DemandMetrics, 'show'>;
  /** Hears of faults other than `RedisUnavailable`. */
  readonly onError: (error: unknown) => void;
}

/** A third of the time for which what a gateway notes counts. */
export const DEMAND_INTERVAL_MS = 5_000;
/** A gateway that is missing for longer is not remembered. */
const REMEMBER_MS = 600_000;

/** Looks at the fleet at a fixed interval, and shows the demand of each pool. What is not known is not shown: a pool is not scaled by it. */
export class DemandWatch {
  readonly #deps: DemandWatchDeps;
  readonly #demand: FleetDemand;
  readonly #gatewayId = randomBytes(9).toString('base64url');
  /** What each gateway has told last. */
  readonly #came = new Map<string, { seenMs: number; came: Asked['came'] }>();
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  #stopped = false;

  constructor(deps: DemandWatchDeps) {
    this.#deps = deps;
    this.#demand = new FleetDemand(deps);
  }

  start(): void {
    this.#look();
    this.#timer ??= this.#deps.clock.every(DEMAND_INTERVAL_MS, () => this.#look());
  }

  /** From now on nothing is shown. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#looking;
    this.#deps.metrics.show(new Map());
  }

  /** One look at a time: one that hangs is waited for. */
  #look(): void {
    this.#looking ??= this.#read().finally(() => {
      this.#looking = undefined;
    });
  }

  async #read(): Promise<void> {
    const { clock, ledger, book, held, capacity, jobs, metrics, onError } = this.#deps;
    try {
      const [notes, seen, unfinished] = await Promise.all([
        ledger.exchange(this.#gatewayId, book.asked(held())),
        capacity(),
        jobs(),
      ]);
      const nowMs = clock.now();
      const load = this.#load(notes, seen, unfinished, nowMs);
      const pools = this.#demand.update(load, nowMs);
      if (!this.#stopped) metrics.show(pools);
    } catch (error) {
      metrics.show(new Map());
      if (!(error instanceof RedisUnavailable)) onError(error);
    }
  }

  #load(
    notes: ReadonlyMap<string, Asked>,
    { pools, waitingFor, waitingForAny, moving }: Capacity,
    jobs: number,
    nowMs: number,
  ): FleetLoad {
    const waiting = new Map(waitingFor);
    add(waiting, ANY_MODEL, waitingForAny);
    const refused = new Map<string, number>();
    for (const note of notes.values()) {
      for (const [model, count] of Object.entries(note.waiting)) add(waiting, model, count);
      for (const [model, count] of Object.entries(note.refused)) add(refused, model, count);
    }
    return { pools, waiting, moving, refused, came: this.#cameSince(notes, nowMs), jobs };
  }

  /** New sessions since the last look, of all gateways. What they told before the first look of all is the past. */
  #cameSince(notes: ReadonlyMap<string, Asked>, nowMs: number): Map<string, number> {
    const since = new Map<string, number>();
    const first = this.#came.size === 0;
    for (const [gateway, { came }] of notes) {
      const before = this.#came.get(gateway)?.came ?? {};
      if (!first)
        for (const [model, count] of Object.entries(came))
          add(since, model, count - (before[model] ?? 0));
      this.#came.set(gateway, { seenMs: nowMs, came });
    }
    for (const [gateway, { seenMs }] of this.#came)
      if (nowMs - seenMs > REMEMBER_MS) this.#came.delete(gateway);
    return since;
  }
}

function add(counts: Map<string, number>, model: string, by: number): void {
  if (by > 0) counts.set(model, (counts.get(model) ?? 0) + by);
}
