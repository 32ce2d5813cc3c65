/**
 * Every key of one fleet. The braces make the fleet's name the cluster hash tag, so that one script may touch them all.
 * None has a Redis TTL: expiry is a score, for a slot must go back in the same step in which its lease ends.
 * Their size is bounded by workers, leases and tickets, which are swept, and by tenants that opened a session of late.
 */
export interface FleetKeys {
  /** zset, ready worker → free slots, below zero when over-committed. Owner: room.lua. */
  readonly free: string;
  /** zset, worker → time in ms at which it counts as dead. Owner: heartbeat; swept by acquire, poll and heartbeat. */
  readonly beats: string;
  /** hash, worker → JSON of its WorkerRecord. Owner: heartbeat; goes with `beats`. */
  readonly workers: string;
  /** hash, worker → number of its leases. Outlives the worker's record until the last lease ends. Owner: leases.lua. */
  readonly used: string;
  /** zset, lease token → time in ms at which it ends. Owner: acquire, renew, release; swept by acquire, poll and heartbeat. */
  readonly leases: string;
  /**
   * hash, lease token → JSON {worker, pool, epoch, address, model, session, tenant, since, mover}. `since`: when the session got
   * its first slot; `mover`: the ticket that would replace it. Goes with `leases`.
   */
  readonly leaseData: string;
  /** string, the last epoch granted. Owner: grant.lua; lifted by a registering worker. Never goes back. */
  readonly epoch: string;
  /** hash, tenant → its leases and tickets, a move counted once. Owner: leases.lua and tickets.lua. */
  readonly tenants: string;
  /** zset, tenant → time in ms at which its bucket of new sessions is full, when it is forgotten. Owner: tenants.lua. */
  readonly rates: string;
  /** hash, `mean` and `count` of how long the last leases were held, in ms. Owner: flow.lua. */
  readonly flow: string;
  /** hash, token → JSON of a ticket. Owner: tickets.lua, as for all below; swept by acquire, poll and heartbeat. */
  readonly tickets: string;
  /** zset, token → time in ms at which its ticket ends. */
  readonly ticketEnds: string;
  /** zset without scores, class/tenant/age/token of each ticket: the tickets of a tenant in their order. */
  readonly queue: string;
  /** zset, class/tenant/number → class and virtual time: whose turn it is. As many as tickets. */
  readonly seats: string;
  /** hash, class/tenant with tickets → number of its first seat, of the one behind its last, time of its next. */
  readonly lines: string;
  /** zset, class/tenant without tickets → class and time of its next seat, forgotten when the class has got there. */
  readonly idle: string;
  /** zset, lease token → time in ms until which it is remembered that the lease was given up, not lost. Owner: leases.lua. */
  readonly givenUp: string;
  /** hash, model and closed pools → tickets that wait for such a slot and no other. Owner: tickets.lua. */
  readonly wanted: string;
  /** hash, pool → its leases. Owner: pools.lua. */
  readonly poolLeases: string;
  /** zset without scores, the workers with a free slot in the orders that `free` has not. Owner: room.lua. */
  readonly room: string;
  /** No key but a channel: each grant to a ticket, as a message. */
  readonly grants: string;
}

/** hash, gateway → when it was written, and Asked of demand-ledger.ts as JSON. Owner: demand/exchange.lua. */
export function askedKey(fleet: string): string {
  return `${prefixOf(fleet)}asked`;
}

export function fleetKeys(fleet: string): FleetKeys {
  const prefix = prefixOf(fleet);
  const key = (name: string): string => `${prefix}${name}`;
  return {
    free: key('free'),
    beats: key('beats'),
    workers: key('workers'),
    used: key('used'),
    leases: key('leases'),
    leaseData: key('lease-data'),
    epoch: key('epoch'),
    tenants: key('tenants'),
    rates: key('rates'),
    flow: key('flow'),
    tickets: key('tickets'),
    ticketEnds: key('ticket-ends'),
    queue: key('queue'),
    seats: key('seats'),
    lines: key('lines'),
    idle: key('idle'),
    givenUp: key('given-up'),
    wanted: key('wanted'),
    poolLeases: key('pool-leases'),
    room: key('room'),
    grants: key('grants'),
  };
}

function prefixOf(fleet: string): string {
  // A brace in the name would end the hash tag early and scatter the keys.
  if (!/^[\w.-]+$/.test(fleet))
    throw new RangeError(
      `fleet name ${JSON.stringify(fleet)}: use letters, digits, '.', '_' and '-'`,
    );
  return `vf:{${fleet}}:`;
}

/** The order that lua/includes/keys.lua expects. */
export function scriptKeys(keys: FleetKeys): readonly string[] {
  return [
    keys.free,
    keys.beats,
    keys.workers,
    keys.used,
    keys.leases,
    keys.leaseData,
    keys.epoch,
    keys.tenants,
    keys.rates,
    keys.flow,
    keys.tickets,
    keys.ticketEnds,
    keys.queue,
    keys.seats,
    keys.lines,
    keys.idle,
    keys.givenUp,
    keys.wanted,
    keys.poolLeases,
    keys.room,
    keys.grants,
  ];
}

/**
 * list, the last turns of a conversation, each JSON {user, assistant}; ends with its Redis TTL. Owner: llm-tts. Alone in its
 * step, so it needs no hash tag. The length keeps tenants apart whose names and conversations would run together.
 */
export function conversationKey(tenantId: string, conversation: string): string {
  return `vf-conversation:${tenantId.length}:${tenantId}:${conversation}`;
}
