-- @include workers
-- @include leases

-- Enough to outrun any rate of new leases (each acquire adds one), little enough to stay below a millisecond.
local SWEEP_BATCH = 32

local function sweep()
  for _, token in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, SWEEP_BATCH)) do drop_lease(token) end
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', BEATS, '-inf', now, 'LIMIT', 0, SWEEP_BATCH)) do remove_worker(worker) end
end
