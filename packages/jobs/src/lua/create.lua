-- Keeps a new job, unless its tenant has as many that are not over as it may.
-- KEYS    1 record · 2 the tenant's jobs · 3 the tenant's open jobs
-- ARGV    1 id · 2 what never changes of it, as JSON · 3 now in ms · 4 the most open jobs, 0 for any number
-- result  'created' | 'known' | 'too_many'
if redis.call('EXISTS', KEYS[1]) == 1 then return 'known' end
local most = tonumber(ARGV[4])
if most > 0 and redis.call('ZCARD', KEYS[3]) >= most then return 'too_many' end
redis.call('HSET', KEYS[1], 'spec', ARGV[2], 'state', 'queued', 'attempts', 0, 'done', 0)
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
return 'created'
