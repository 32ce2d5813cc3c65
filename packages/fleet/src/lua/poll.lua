-- Keeps tickets in line, and says how they stand.
-- KEYS    see includes/keys.lua
-- ARGV    1 ticket TTL in ms · 2 claim TTL in ms · then the tokens
-- result  for each token {'granted', worker, address, model, epoch} | {'waiting', position, estimate in ms, -1 if not known} | {'gone'}
-- @include sweep
-- @include dispatch

local ticket_ttl, claim_ttl = tonumber(ARGV[1]), tonumber(ARGV[2])

for i = 3, #ARGV do
  if redis.call('HEXISTS', TICKETS, ARGV[i]) == 1 then redis.call('ZADD', TICKET_ENDS, now + ticket_ttl, ARGV[i]) end
end
sweep()
dispatch(LAST_CLASS)

local leases = redis.call('ZCARD', LEASES)
local results = {}
for i = 3, #ARGV do
  local token = ARGV[i]
  local ticket = read_ticket(token)
  local lease = not ticket and read_live_lease(token)
  local result = { 'gone' }
  if ticket then
    local position = position_of(ticket)
    result = { 'waiting', position, estimate(position, leases) }
  elseif lease then
    extend_claim(token, claim_ttl)
    result = { 'granted', lease.worker, lease.address, lease.model, lease.epoch }
  end
  results[#results + 1] = result
end
return results
