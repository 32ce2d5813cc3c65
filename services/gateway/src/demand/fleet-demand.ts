import { Forecast, type ForecastOptions } from './forecast.ts';

/** What a pool has, as in Redis. */
export interface PoolLoad {
  /** What its workers serve; none: it has no workers. */
  readonly models: readonly string[];
  /** Slots of its ready workers. */
  readonly slots: number;
  /** Sessions on its workers. */
  readonly leased: number;
  /** Those of `leased` whose worker drains or is lost: they need a slot elsewhere. */
  readonly leaving: number;
}

/** How many would take a slot, by the model that they name; those who name none stand under ANY_MODEL. */
export type Wishes = ReadonlyMap<string, number>;

/** No model has this name. */
export const ANY_MODEL = '';

/** The fleet at one moment, as it stands in Redis: all gateways see the same. */
export interface FleetLoad {
  readonly pools: ReadonlyMap<string, PoolLoad>;
  /** In line for a slot, or before the line. */
  readonly waiting: Wishes;
  /** Those of `waiting` who have a slot all the while: sessions that move. */
  readonly moving: number;
  /** Refused for want of a slot within the last minute: they, or others like them, are expected to come back. */
  readonly refused: Wishes;
  /** New sessions since the last snapshot, those that were refused included. */
  readonly came: Wishes;
  /** Batch jobs that wait or are under way. */
  readonly jobs: number;
}

export interface FleetDemandOptions {
  /** Pools that are told of even when they have no worker. */
  readonly pools: readonly string[];
  /** Parts of new sessions, by pool; one that is not named has 1. Empty: pools share by their slots. */
  readonly weights: ReadonlyMap<string, number>;
  /** From the wish for another worker until that one takes sessions. */
  readonly warmupMs: (pool: string) => number;
  readonly forecast?: ForecastOptions;
}

/** Slots of one pool. */
export interface PoolDemand {
  /** Of its ready workers. */
  readonly slots: number;
  /** Taken, those on workers that drain included. */
  readonly leased: number;
  /** Asked for now, or expected to be by the time at which another worker would be ready. */
  readonly demand: number;
}

/** A pool with its name. */
type Named = PoolLoad & { readonly pool: string };

const NO_LOAD: PoolLoad = { models: [], slots: 0, leased: 0, leaving: 0 };

/**
 * Tells how many slots each pool should have: for the sessions that run, wait or were refused of late, and for those that are
 * expected while another worker warms up. What runs counts where it runs. The rest is shared among the pools that serve what is
 * wished for, by weight or else by slots; one without workers may come to serve anything. Pure: time comes with each snapshot.
 */
export class FleetDemand {
  readonly #options: FleetDemandOptions;
  /** By model. Bounded by what is served or wished for. */
  readonly #forecasts = new Map<string, Forecast>();

  constructor(options: FleetDemandOptions) {
    this.#options = options;
  }

  /** Snapshots come in the order of their times. The answer names each pool that has workers, leases or a setting. */
  update(load: FleetLoad, atMs: number): ReadonlyMap<string, PoolDemand> {
    const pools = this.#named(load);
    const demand = new Map(pools.map(({ pool, leased, leaving }) => [pool, leased - leaving]));
    const share = (model: string, slotsFor: (pool: string) => number): void => {
      for (const [pool, part] of this.#parts(pools, model))
        demand.set(pool, (demand.get(pool) ?? 0) + part * slotsFor(pool));
    };
    const wished = wishesOf(load);
    for (const [model, slots] of wished) share(model, () => slots);
    for (const [model, forecast] of this.#look(pools, load, wished, atMs))
      share(model, (pool) => forecast.growth(this.#options.warmupMs(pool)));
    if (load.jobs > 0) this.#wake(pools, demand);
    return new Map(
      pools.map(({ pool, slots, leased }) => [
        pool,
        { slots, leased, demand: demand.get(pool) ?? 0 },
      ]),
    );
  }

  #named({ pools }: FleetLoad): readonly Named[] {
    const { pools: known, weights } = this.#options;
    const names = new Set([...known, ...weights.keys(), ...pools.keys()]);
    return [...names].map((pool) => ({ pool, ...(pools.get(pool) ?? NO_LOAD) }));
  }

  /** The part of the wishes for a model that each pool is to have: together 1, or nothing where no pool may take them. */
  #parts(pools: readonly Named[], model: string): ReadonlyMap<string, number> {
    const { weights } = this.#options;
    const weightOf = ({ pool }: Named): number => weights.get(pool) ?? 1;
    const able = pools.filter(
      (pool) =>
        weightOf(pool) > 0 &&
        (model === ANY_MODEL || pool.models.length === 0 || pool.models.includes(model)),
    );
    if (weights.size > 0) return inParts(able, weightOf);
    const awake = able.filter(({ slots }) => slots > 0);
    return awake.length > 0 ? inParts(awake, ({ slots }) => slots) : inParts(able, () => 1);
  }

  /** Shows the forecast of each model what there is of it. */
  #look(
    pools: readonly Named[],
    { came }: FleetLoad,
    wished: Wishes,
    atMs: number,
  ): ReadonlyMap<string, Forecast> {
    const sessions = this.#byModel(pools, wished);
    for (const { models, leased, leaving } of pools)
      for (const model of models) add(sessions, model, (leased - leaving) / models.length);
    const arrivals = this.#byModel(pools, came);
    for (const model of new Set([...sessions.keys(), ...arrivals.keys()]))
      if (!this.#forecasts.has(model))
        this.#forecasts.set(model, new Forecast(this.#options.forecast));
    for (const [model, forecast] of this.#forecasts) {
      forecast.note(atMs, sessions.get(model) ?? 0, arrivals.get(model) ?? 0);
      if (forecast.idle) this.#forecasts.delete(model);
    }
    return this.#forecasts;
  }

  /** Those who would take any model will get one that is served. */
  #byModel(pools: readonly Named[], wishes: Wishes): Map<string, number> {
    const found = new Map(wishes);
    const any = found.get(ANY_MODEL) ?? 0;
    found.delete(ANY_MODEL);
    for (const [name, part] of any === 0 ? [] : this.#parts(pools, ANY_MODEL)) {
      const models = pools.find(({ pool }) => pool === name)?.models ?? [];
      const of = models.length > 0 ? models : [ANY_MODEL];
      for (const model of of) add(found, model, (any * part) / of.length);
    }
    return found;
  }

  /** Jobs take idle slots only. Where nobody wants any, one is kept for them: where there are some, or else by weight. */
  #wake(pools: readonly Named[], demand: Map<string, number>): void {
    if ([...demand.values()].some((slots) => slots > 0)) return;
    const parts = this.#parts(pools, ANY_MODEL);
    const awake = pools.filter(({ slots }) => slots > 0);
    const part = ({ pool }: Named): number => parts.get(pool) ?? 0;
    const [first] = (awake.length > 0 ? awake : pools.filter(({ pool }) => parts.has(pool))).sort(
      (one, other) => part(other) - part(one),
    );
    if (first !== undefined) demand.set(first.pool, 1);
  }
}

function inParts(pools: readonly Named[], size: (pool: Named) => number): Map<string, number> {
  const whole = pools.reduce((sum, pool) => sum + size(pool), 0);
  return new Map(pools.map((pool) => [pool.pool, size(pool) / whole]));
}

function add(wishes: Map<string, number>, model: string, slots: number): void {
  if (slots > 0) wishes.set(model, (wishes.get(model) ?? 0) + slots);
}

/** All who want a slot and have none that they may keep, by model. */
function wishesOf({ pools, waiting, moving, refused }: FleetLoad): Map<string, number> {
  const wished = new Map<string, number>();
  for (const [model, count] of [...waiting, ...refused]) add(wished, model, count);
  const leaving = [...pools.values()].reduce((sum, pool) => sum + pool.leaving, 0);
  if (leaving === 0) return wished;
  // Those who leave a worker stand in line themselves, but for a moment.
  const unseen = Math.max(0, leaving - moving) / leaving;
  for (const pool of pools.values()) {
    const models = pool.models.length > 0 ? pool.models : [ANY_MODEL];
    for (const model of models) add(wished, model, (pool.leaving * unseen) / models.length);
  }
  return wished;
}
