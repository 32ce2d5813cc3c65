-- Keeps a finished segment, once, and only of the runner that has the job.
-- KEYS    1 record · 2 segments
-- ARGV    1 the runner's name · 2 index of the segment · 3 the segment as JSON · 4 samples finished with it · 5 samples of the recording
-- result  1, or 0 when the job is not this runner's any more
local found = redis.call('HMGET', KEYS[1], 'state', 'runner')
if found[1] ~= 'running' or found[2] ~= ARGV[1] then return 0 end
if redis.call('LLEN', KEYS[2]) ~= tonumber(ARGV[2]) then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[3])
-- It has got on: what went wrong before counts no more.
redis.call('HSET', KEYS[1], 'done', ARGV[4], 'duration', ARGV[5], 'attempts', 1)
return 1
