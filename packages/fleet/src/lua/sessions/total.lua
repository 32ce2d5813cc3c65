-- Tells the audio of a tenant today.
-- KEYS    1 usage of the tenant on the day
-- ARGV    1 day
-- result  samples | {'day', today} when it is another day
-- @include today

if tonumber(ARGV[1]) ~= today then return { 'day', today } end
return tonumber(redis.call('HGET', KEYS[1], 'samples') or 0)
