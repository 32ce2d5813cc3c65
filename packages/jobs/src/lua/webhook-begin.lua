-- Right before an attempt: whether the event is still to be told, and by this gateway. The body of the first attempt is that of all.
-- KEYS    1 record · 2 event · 3 jobs under way
-- ARGV    1 job · 2 token of the lease · 3 its length in ms · 4 body · 5 the most attempts
-- result  {'send', body, number of this attempt} | {'gone'} | {'acknowledged'} | {'lost'} | {'exhausted'}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return { 'gone' }
end
local found = redis.call('HMGET', KEYS[2], 'acknowledged', 'by')
if found[1] then return { 'acknowledged' } end
if found[2] ~= ARGV[2] then return { 'lost' } end
redis.call('HSETNX', KEYS[2], 'body', ARGV[4])
redis.call('HSETNX', KEYS[2], 'limit', ARGV[5])
redis.call('HSETNX', KEYS[2], 'first', now)
local told = redis.call('HMGET', KEYS[2], 'body', 'limit', 'attempts')
if tonumber(told[3] or 0) >= tonumber(told[2]) then
  -- The gateways that made the last attempts never told what became of them.
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('HDEL', KEYS[2], 'by')
  redis.call('HSET', KEYS[2], 'given_up', now)
  return { 'exhausted' }
end
redis.call('ZADD', KEYS[3], now + ARGV[3], ARGV[1])
return { 'send', told[1], redis.call('HINCRBY', KEYS[2], 'attempts', 1) }
