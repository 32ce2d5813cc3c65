-- A runner gives its job back: another may take it up.
-- KEYS    1 record
-- ARGV    1 the runner's name · 2 by how much the attempts are fewer: 1 when nothing went wrong, else 0
-- result  1, or 0 when the job is not this runner's any more
local found = redis.call('HMGET', KEYS[1], 'state', 'runner', 'attempts')
if found[1] ~= 'running' or found[2] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'state', 'queued', 'attempts', math.max(0, tonumber(found[3]) - tonumber(ARGV[2])))
redis.call('HDEL', KEYS[1], 'runner')
return 1
