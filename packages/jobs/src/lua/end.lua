-- Ends a job, once. Who is to tell of it, and who clears up after it, find it in their sets.
-- KEYS    1 record · 2 the tenant's open jobs · 3 all open jobs · 4 jobs not queued yet · 5 ended jobs · 6 ended jobs to tell of
-- ARGV    1 id · 2 the runner's name, or '' for whoever has it · 3 state · 4 now in ms · 5 error as JSON, or ''
-- result  1, or 0 when it is over already, gone, or another runner's
local found = redis.call('HMGET', KEYS[1], 'state', 'runner', 'webhook')
if found[1] ~= 'queued' and found[1] ~= 'running' then return 0 end
if ARGV[2] ~= '' and found[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'ended', ARGV[4])
redis.call('HDEL', KEYS[1], 'runner')
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'error', ARGV[5]) end
for key = 2, 4 do redis.call('ZREM', KEYS[key], ARGV[1]) end
redis.call('ZADD', KEYS[5], ARGV[4], ARGV[1])
if found[3] == '1' then redis.call('ZADD', KEYS[6], ARGV[4], ARGV[1]) end
return 1
