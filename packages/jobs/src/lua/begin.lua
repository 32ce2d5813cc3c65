-- A worker takes a job up.
-- KEYS    1 record · 2 segments
-- ARGV    1 the runner's name · 2 now in ms · 3 the most attempts without a finished segment between them
-- result  {'begun', number of finished segments} | {'gone'} | {'over'} | {'exhausted'}
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return { 'gone' } end
if state ~= 'queued' and state ~= 'running' then return { 'over' } end
if tonumber(redis.call('HGET', KEYS[1], 'attempts')) >= tonumber(ARGV[3]) then
  -- Whoever had it before has lost it: it may be ended under this name.
  redis.call('HSET', KEYS[1], 'state', 'running', 'runner', ARGV[1])
  return { 'exhausted' }
end
redis.call('HINCRBY', KEYS[1], 'attempts', 1)
redis.call('HSET', KEYS[1], 'state', 'running', 'runner', ARGV[1])
redis.call('HSETNX', KEYS[1], 'started', ARGV[2])
return { 'begun', redis.call('LLEN', KEYS[2]) }
