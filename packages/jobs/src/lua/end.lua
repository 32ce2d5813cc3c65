-- Ends a job, once. What must hear of it finds it in the list of ended jobs.
-- KEYS    1 record · 2 the tenant's open jobs · 3 ended jobs
-- ARGV    1 id · 2 the runner's name, or '' for whoever has it · 3 state · 4 now in ms · 5 error as JSON, or ''
-- result  1, or 0 when it is over already, gone, or another runner's
local found = redis.call('HMGET', KEYS[1], 'state', 'runner')
if found[1] ~= 'queued' and found[1] ~= 'running' then return 0 end
if ARGV[2] ~= '' and found[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'ended', ARGV[4])
redis.call('HDEL', KEYS[1], 'runner')
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'error', ARGV[5]) end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('RPUSH', KEYS[3], ARGV[1])
return 1
