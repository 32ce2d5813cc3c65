-- Makes a session resumable.
-- KEYS    1 record · 2 frames · 3 text
-- ARGV    1 token hash · 2 tenant · 3 key id · 4 TTL in ms
-- result  nothing. A record that is in use stays as it is: then this call was on its way for longer than its caller waited.

local known = redis.call('HMGET', KEYS[1], 'owner', 'save', 'ended')
if known[1] and (known[1] ~= '1' or known[2] ~= '0' or known[3]) then return end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'owner', 1, 'save', 0, 'token', ARGV[1], 'tenant', ARGV[2], 'key', ARGV[3],
  'seq', 0, 'bytes', 0, 'state', '', 'chars', 0, 'accepted', 0, 'lease', '')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
