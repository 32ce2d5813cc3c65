-- @include workers
-- @include leases

-- Enough to outrun any rate of new leases (each acquire adds one), little enough to stay below a millisecond.
local SWEEP_BATCH = 32

-- Whoever sweeps dispatches before it returns: slots may have become free.
local function sweep()
  for _, token in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, SWEEP_BATCH)) do end_lease(token) end
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', BEATS, '-inf', now, 'LIMIT', 0, SWEEP_BATCH)) do remove_worker(worker) end
  for _, token in ipairs(redis.call('ZRANGEBYSCORE', TICKET_ENDS, '-inf', now, 'LIMIT', 0, SWEEP_BATCH)) do leave_line(token, read_ticket(token)) end
end
