/**
 * Every key of one pool. The braces make the pool's name the cluster hash tag, so that one script may touch them all.
 * None has a Redis TTL: expiry is a score, for a slot must go back in the same step in which its lease ends.
 * Their size is bounded by workers plus leases, both of which are swept.
 */
export interface PoolKeys {
  /** zset, ready worker → free slots, below zero when over-committed. Owner: heartbeat and every script that moves a lease. */
  readonly free: string;
  /** zset, worker → time in ms at which it counts as dead. Owner: heartbeat; swept by acquire and heartbeat. */
  readonly beats: string;
  /** hash, worker → JSON of its WorkerRecord. Owner: heartbeat; goes with `beats`. */
  readonly workers: string;
  /** hash, worker → number of its leases. Outlives the worker's record until the last lease ends. Owner: occupy.lua. */
  readonly used: string;
  /** zset, lease token → time in ms at which it ends. Owner: acquire, renew, release; swept by acquire and heartbeat. */
  readonly leases: string;
  /** hash, lease token → JSON {worker, epoch, address, model, session}. Goes with `leases`. */
  readonly leaseData: string;
  /** string, the last epoch granted. Owner: acquire; lifted by a registering worker. Never goes back. */
  readonly epoch: string;
}

export function poolKeys(pool: string): PoolKeys {
  // A brace in the name would end the hash tag early and scatter the keys.
  if (!/^[\w.-]+$/.test(pool))
    throw new RangeError(
      `pool name ${JSON.stringify(pool)}: use letters, digits, '.', '_' and '-'`,
    );
  const key = (name: string): string => `vf:{${pool}}:${name}`;
  return {
    free: key('free'),
    beats: key('beats'),
    workers: key('workers'),
    used: key('used'),
    leases: key('leases'),
    leaseData: key('lease-data'),
    epoch: key('epoch'),
  };
}

/** The order that lua/includes/keys.lua expects. */
export function scriptKeys(keys: PoolKeys): readonly string[] {
  return [keys.free, keys.beats, keys.workers, keys.used, keys.leases, keys.leaseData, keys.epoch];
}
