-- Has an event that was given up told once more, under its own id.
-- KEYS    1 event · 2 jobs to tell of
-- ARGV    1 job
-- result  'asked' | 'acknowledged' | 'waiting', not given up
local found = redis.call('HMGET', KEYS[1], 'acknowledged', 'given_up', 'attempts')
if found[1] then return 'acknowledged' end
if not found[2] then return 'waiting' end
local time = redis.call('TIME')
redis.call('HDEL', KEYS[1], 'given_up')
redis.call('HSET', KEYS[1], 'limit', found[3] + 1)
redis.call('ZADD', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
return 'asked'
