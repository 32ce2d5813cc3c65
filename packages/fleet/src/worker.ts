/**
 * Only `ready` workers get new leases; the others keep those they have. `failed`: its model could not be loaded, and it is
 * about to end; it beats no more, and what it said stays for `FAILED_TTL_MS`.
 */
export type WorkerState = 'ready' | 'draining' | 'loading' | 'failed';

/** What a worker says of itself with every beat. */
export interface WorkerRecord {
  /** New for each process start: a restarted worker must not inherit the slots of its predecessor. */
  readonly workerId: string;
  readonly address: string;
  readonly model: string;
  readonly engine: string;
  /** Workers that are alike. Absent, as of a worker of an older version: `default`. */
  readonly pool?: string;
  /** Its number in its pool; absent: 0. Placement by ordinal fills low ones first. */
  readonly ordinal?: number;
  readonly slots: number;
  readonly state: WorkerState;
  /** Of the transcript behind the audio; absent: its engine has none of its own. */
  readonly delayMs?: number;
}

/** Of one worker that beats. */
export interface WorkerDelay {
  readonly workerId: string;
  readonly delayMs: number | undefined;
  readonly ready: boolean;
}

/** A lease as the worker that serves it knows it. */
export interface ServedLease {
  readonly token: string;
  readonly epoch: number;
  readonly sessionId: string;
  /** Whose place the session takes. */
  readonly tenantId: string;
}

/** What a pool has. Of its workers that beat, but not of those that failed. */
export interface PoolCapacity {
  readonly workers: number;
  readonly readyWorkers: number;
  /** Slots of ready workers. */
  readonly slots: number;
  /** Leases on workers of the pool in any state, those of lost workers included. */
  readonly leased: number;
  /** Those of `leased` whose worker drains or is lost: their sessions need a slot elsewhere. */
  readonly leaving: number;
  /** Slots that are free, whoever may have them. */
  readonly free: number;
  /** What its workers serve, ready or not. */
  readonly models: readonly string[];
}

export interface ModelCapacity {
  /** Slots a new lease could take now. */
  readonly free: number;
  /** Tickets that wait for this model and no other. */
  readonly waiting: number;
}

export interface Capacity {
  /** Workers that beat, in any state. */
  readonly workers: number;
  readonly readyWorkers: number;
  /** Workers that could not load their model, within the last 30 s. They are not among `workers`. */
  readonly failedWorkers: number;
  /** Slots of ready workers. */
  readonly slots: number;
  /** Live leases, those on draining workers included. */
  readonly leased: number;
  /** Slots a new lease could take now. */
  readonly free: number;
  /** Tickets in line: sessions that would start, or move, if there were slots. */
  readonly waiting: number;
  /** Tickets whose session has a lease all the while, which is among `leased`. */
  readonly moving: number;
  /** Tickets that any model will do for. */
  readonly waitingForAny: number;
  /** By model, the tickets that wait for it and no other, whether any worker serves it or not. */
  readonly waitingFor: ReadonlyMap<string, number>;
  /** By model, of those that ready workers serve. */
  readonly models: ReadonlyMap<string, ModelCapacity>;
  /** Of pools that have workers or leases. */
  readonly pools: ReadonlyMap<string, PoolCapacity>;
}
