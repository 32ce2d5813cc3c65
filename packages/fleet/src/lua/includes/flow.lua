-- @include keys
-- @include now

-- As many of the last leases count for how long one lasts.
local FLOW_MEMORY = 32
-- Clients take a longer time for none at all.
local LONGEST_RETRY = 60000

local function note_end(since)
  local flow = redis.call('HMGET', FLOW, 'mean', 'count')
  local count = math.min(tonumber(flow[2] or 0) + 1, FLOW_MEMORY)
  local mean = tonumber(flow[1] or 0)
  redis.call('HSET', FLOW, 'mean', mean + (now - since - mean) / count, 'count', count)
end

-- Milliseconds until 'slots' of 'leases' are free, -1 when no lease has ended yet: of n leases that last d, one ends each d/n.
local function estimate(slots, leases)
  local mean = redis.call('HGET', FLOW, 'mean')
  if not mean or leases == 0 then return -1 end
  return math.ceil(slots * tonumber(mean) / leases)
end

local function retry_after(slots, leases)
  return math.min(LONGEST_RETRY, estimate(slots, leases))
end
