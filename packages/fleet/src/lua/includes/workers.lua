-- @include keys
-- @include now

local function is_live(worker)
  local dead_at = redis.call('ZSCORE', BEATS, worker)
  return dead_at and tonumber(dead_at) > now
end

-- USED stays: it counts leases, which may outlive their worker's record.
local function remove_worker(worker)
  redis.call('ZREM', FREE, worker)
  redis.call('ZREM', BEATS, worker)
  redis.call('HDEL', WORKERS, worker)
end
