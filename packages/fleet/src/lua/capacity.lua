-- Counts the fleet in one pass over its workers.
-- KEYS    see includes/keys.lua
-- ARGV    none
-- result  {workers, ready workers, failed workers, slots of ready workers, live leases, free slots of ready workers, tickets,
--         then of each model that ready workers serve: model, its free slots, tickets that wait for it alone}
-- @include keys
-- @include now

local scored, used, models, free_of = {}, {}, {}, {}
local workers, ready, failed, slots, free = 0, 0, 0, 0, 0
local counts = redis.call('HGETALL', USED)
for i = 1, #counts, 2 do used[counts[i]] = tonumber(counts[i + 1]) end
local scores = redis.call('ZRANGE', FREE, 0, -1, 'WITHSCORES')
for i = 1, #scores, 2 do scored[scores[i]] = tonumber(scores[i + 1]) end
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', BEATS, '(' .. now, '+inf')) do
  local score = scored[worker]
  local json = redis.call('HGET', WORKERS, worker)
  local record = json and cjson.decode(json)
  if not score and record and record.state == 'failed' then
    failed = failed + 1
  else
    workers = workers + 1
  end
  if score then
    ready = ready + 1
    slots = slots + score + (used[worker] or 0)
    free = free + math.max(score, 0)
    if record then
      if not free_of[record.model] then models[#models + 1] = record.model end
      free_of[record.model] = (free_of[record.model] or 0) + math.max(score, 0)
    end
  end
end
local leased = redis.call('ZCOUNT', LEASES, '(' .. now, '+inf')
local result = { workers, ready, failed, slots, leased, free, redis.call('ZCOUNT', TICKET_ENDS, '(' .. now, '+inf') }
for _, model in ipairs(models) do
  result[#result + 1] = model
  result[#result + 1] = free_of[model]
  result[#result + 1] = tonumber(redis.call('HGET', WANTED, model) or 0)
end
return result
