-- @include keys
-- @include now

-- Counts one lease more or fewer on a worker, and moves the worker among the free ones if it is there.
local function occupy(worker, by)
  if redis.call('HINCRBY', USED, worker, by) <= 0 then redis.call('HDEL', USED, worker) end
  redis.call('ZADD', FREE, 'XX', 'INCR', -by, worker)
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

local function add_lease(token, lease, ttl)
  redis.call('HSET', DATA, token, cjson.encode(lease))
  redis.call('ZADD', LEASES, now + ttl, token)
  occupy(lease.worker, 1)
end

-- The removal of the data decides who gives the slot back, so it is given back once.
local function drop_lease(token)
  local lease = read_lease(token)
  redis.call('ZREM', LEASES, token)
  if lease and redis.call('HDEL', DATA, token) == 1 then occupy(lease.worker, -1) end
end
