import { Gauge, type Registry } from 'prom-client';
import type { PoolDemand } from './fleet-demand.ts';

/** Slots of the whole fleet by pool, as seen by this gateway. Each gateway tells the same: take the greatest. */
export class DemandMetrics {
  readonly #demand: Gauge<'pool'>;
  readonly #slots: Gauge<'pool'>;
  readonly #leased: Gauge<'pool'>;

  constructor(registers: Registry[]) {
    const labelNames = ['pool'] as const;
    this.#demand = new Gauge({
      name: 'voice_fleet_demand_slots',
      help: 'Slots that sessions of a pool have, wait for, and are expected to want while another worker warms up. Absent while Redis is away. Each gateway tells the same.',
      labelNames,
      registers,
    });
    this.#slots = new Gauge({
      name: 'voice_fleet_slots',
      help: 'Slots of the ready workers of a pool, 0 where it has none. Absent while Redis is away. Each gateway tells the same.',
      labelNames,
      registers,
    });
    this.#leased = new Gauge({
      name: 'voice_fleet_leased_slots',
      help: 'Slots that sessions have in a pool, on workers that drain too. Absent while Redis is away. Each gateway tells the same.',
      labelNames,
      registers,
    });
  }

  /** Replaces all that was told; nothing is told of other pools, or of none at all while nothing is known. */
  show(pools: ReadonlyMap<string, PoolDemand>): void {
    for (const gauge of [this.#demand, this.#slots, this.#leased]) gauge.reset();
    for (const [pool, { demand, slots, leased }] of pools) {
      this.#demand.labels(pool).set(demand);
      this.#slots.labels(pool).set(slots);
      this.#leased.labels(pool).set(leased);
    }
  }
}
