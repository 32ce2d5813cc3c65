-- A job of this rank was begun: newcomers come behind it. When there is no other any more, all begin anew.
-- KEYS    1 hash, class/tenant → rank of its last job · 2 hash, class → rank of the job begun last
-- ARGV    1 class · 2 rank · 3 1 when it is the only one
if ARGV[3] == '1' then return redis.call('DEL', KEYS[1], KEYS[2]) end
local begun = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0)
redis.call('HSET', KEYS[2], ARGV[1], math.max(begun, tonumber(ARGV[2])))
