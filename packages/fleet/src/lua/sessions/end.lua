-- Ends a session. For one TTL its owner's number is remembered, so that what still comes of it creates no new record.
-- KEYS    1 record · 2 frames · 3 text
-- ARGV    1 owner · 2 TTL in ms
-- result  1 | 0 when another connection has resumed the session: nothing was changed

if tonumber(redis.call('HGET', KEYS[1], 'owner') or 0) > tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'ended', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
