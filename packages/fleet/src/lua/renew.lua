-- Gives leases a full TTL, from a grant's first renewal on.
-- KEYS    see includes/keys.lua
-- ARGV    1 lease TTL in ms · then for each lease: token, worker, epoch
-- result  for each lease 'renewed' | 'lost' | 'unknown'. Unknown: neither lease nor worker is here, so either Redis has
--         lost its data or the worker is about to register again; it brings the lease along if it still serves it.
-- @include workers
-- @include leases

local ttl = tonumber(ARGV[1])
local results = {}
for i = 2, #ARGV, 3 do
  local token, worker, epoch = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local lease = read_live_lease(token)
  local result = 'unknown'
  if lease and lease.worker == worker and lease.epoch == epoch then
    redis.call('ZADD', LEASES, now + ttl, token)
    result = 'renewed'
  elseif lease or is_live(worker) then
    result = 'lost'
  end
  results[#results + 1] = result
end
return results
