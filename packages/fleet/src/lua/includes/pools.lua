-- @include records

-- Counts one lease more or fewer in a pool.
local function count_pool(pool, by)
  if redis.call('HINCRBY', POOL_LEASES, pool, by) <= 0 then redis.call('HDEL', POOL_LEASES, pool) end
end

local function read_pool_leases()
  local leases, sum = {}, 0
  local counts = redis.call('HGETALL', POOL_LEASES)
  for i = 1, #counts, 2 do
    leases[counts[i]] = tonumber(counts[i + 1])
    sum = sum + leases[counts[i]]
  end
  return leases, sum
end

-- Leases of each pool that has any, those of lost workers included. Processes older than pools do not count in them: what
-- they did is seen by the sum, and counted anew.
local function pool_leases()
  local leases, sum = read_pool_leases()
  if sum == redis.call('ZCARD', LEASES) then return leases end
  redis.call('DEL', POOL_LEASES)
  local used = redis.call('HGETALL', USED)
  for i = 1, #used, 2 do
    redis.call('HINCRBY', POOL_LEASES, pool_of(record_of(used[i]) or {}), used[i + 1])
  end
  return (read_pool_leases())
end
