-- Counts the pool in one pass over its workers.
-- KEYS    see includes/keys.lua
-- ARGV    none
-- result  {workers, ready workers, failed workers, slots of ready workers, live leases, free slots of ready workers, tickets}
-- @include keys
-- @include now

local scored, used = {}, {}
local workers, ready, failed, slots, free = 0, 0, 0, 0, 0
local counts = redis.call('HGETALL', USED)
for i = 1, #counts, 2 do used[counts[i]] = tonumber(counts[i + 1]) end
local scores = redis.call('ZRANGE', FREE, 0, -1, 'WITHSCORES')
for i = 1, #scores, 2 do scored[scores[i]] = tonumber(scores[i + 1]) end
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', BEATS, '(' .. now, '+inf')) do
  local score = scored[worker]
  local record = not score and redis.call('HGET', WORKERS, worker)
  if record and cjson.decode(record).state == 'failed' then
    failed = failed + 1
  else
    workers = workers + 1
  end
  if score then
    ready = ready + 1
    slots = slots + score + (used[worker] or 0)
    free = free + math.max(score, 0)
  end
end
local leased = redis.call('ZCOUNT', LEASES, '(' .. now, '+inf')
return { workers, ready, failed, slots, leased, free, redis.call('ZCOUNT', TICKET_ENDS, '(' .. now, '+inf') }
