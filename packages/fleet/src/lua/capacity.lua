-- Counts the pool in one pass over its workers.
-- KEYS    see includes/keys.lua
-- ARGV    none
-- result  {workers, ready workers, slots of ready workers, live leases, free slots of ready workers, tickets}
-- @include keys
-- @include now

local live, used = {}, {}
local workers, ready, slots, free = 0, 0, 0, 0
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', BEATS, '(' .. now, '+inf')) do
  live[worker] = true
  workers = workers + 1
end
local counts = redis.call('HGETALL', USED)
for i = 1, #counts, 2 do used[counts[i]] = tonumber(counts[i + 1]) end
local scores = redis.call('ZRANGE', FREE, 0, -1, 'WITHSCORES')
for i = 1, #scores, 2 do
  local worker, score = scores[i], tonumber(scores[i + 1])
  if live[worker] then
    ready = ready + 1
    slots = slots + score + (used[worker] or 0)
    free = free + math.max(score, 0)
  end
end
local leased = redis.call('ZCOUNT', LEASES, '(' .. now, '+inf')
return { workers, ready, slots, leased, free, redis.call('ZCOUNT', TICKET_ENDS, '(' .. now, '+inf') }
