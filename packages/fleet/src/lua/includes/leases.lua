-- @include keys
-- @include now
-- @include tenants
-- @include tickets
-- @include flow
-- @include pools
-- @include room

-- Counts one lease more or fewer on its worker, and moves the worker among the free ones if it is there.
local function occupy(lease, by)
  local worker = lease.worker
  if redis.call('HINCRBY', USED, worker, by) <= 0 then redis.call('HDEL', USED, worker) end
  local free = free_of(worker)
  if free then set_free(worker, free - by) end
  count_pool(pool_of(lease), by)
end

local function read_lease(token)
  local data = redis.call('HGET', DATA, token)
  return data and cjson.decode(data)
end

-- An ended lease counts as gone even if no sweep has met it yet.
local function read_live_lease(token)
  local ends_at = redis.call('ZSCORE', LEASES, token)
  return ends_at and tonumber(ends_at) > now and read_lease(token)
end

-- The live lease that a request gives up for the one it asks for: its own session's, or none.
local function replaced_lease(terms)
  local lease = terms.replaces and read_live_lease(terms.replaces)
  return lease and lease.session == terms.session and lease.tenant == terms.tenant and lease
end

local function write_lease(token, lease)
  redis.call('HSET', DATA, token, cjson.encode(lease))
end

local function add_lease(token, lease, ttl)
  write_lease(token, lease)
  redis.call('ZADD', LEASES, now + ttl, token)
  occupy(lease, 1)
  count_tenant(lease.tenant, 1)
end

-- A claimed lease keeps its longer time. (Redis 6.0 has no ZADD GT.)
local function extend_claim(token, claim_ttl)
  if now + claim_ttl > tonumber(redis.call('ZSCORE', LEASES, token)) then redis.call('ZADD', LEASES, now + claim_ttl, token) end
end

-- The removal of the data decides who gives the slot back, so it is given back once.
local function drop_lease(token)
  local lease = read_lease(token)
  redis.call('ZREM', LEASES, token)
  if not lease or redis.call('HDEL', DATA, token) == 0 then return end
  occupy(lease, -1)
  local mover = lease.mover and read_ticket(lease.mover)
  if mover and mover.replaces == token and not mover.counted then
    -- The session is still there, and waits: its tenant's place is now that of the ticket.
    mover.counted = true
    write_ticket(lease.mover, mover)
  else
    count_tenant(lease.tenant, -1)
  end
end

-- A worker that wakes up may still serve a lease that its session has given up: for longer than any TTL that is known.
local REMEMBER_MS = 60000

local function note_given_up(token)
  redis.call('ZADD', GIVEN_UP, now + REMEMBER_MS, token)
  redis.call('ZREMRANGEBYSCORE', GIVEN_UP, '-inf', now)
end

-- How long ago a lease was given up, in ms; nil when it was not, or that is forgotten.
local function given_up_ago(token)
  local until_ms = redis.call('ZSCORE', GIVEN_UP, token)
  local ago = until_ms and now - (tonumber(until_ms) - REMEMBER_MS)
  return ago and ago < REMEMBER_MS and ago or nil
end

-- A session has given up its slot, or died with it.
local function end_lease(token)
  local lease = read_lease(token)
  if lease and lease.since then note_end(lease.since) end
  drop_lease(token)
end
