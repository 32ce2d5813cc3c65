-- A place among the waiting jobs of a class, fair between tenants: each one's next job is served when its turn comes round.
-- KEYS    1 hash, class/tenant → rank of its last job · 2 hash, class → rank of the job begun last
-- ARGV    1 class · 2 tenant · 3 what one job costs this tenant · 4 the highest rank
-- result  the rank, from 1
local line = ARGV[1] .. '/' .. ARGV[2]
local last = tonumber(redis.call('HGET', KEYS[1], line) or 0)
local begun = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0)
local rank = math.max(last, begun) + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], line, rank)
return math.min(math.ceil(rank), tonumber(ARGV[4]))
