-- Hands a session to another connection: the one before may save nothing from now on.
-- KEYS    1 record · 2 frames · 3 text
-- ARGV    1 token hash · 2 tenant · 3 the client's last seq · 4 hash of the next token · 5 TTL in ms
-- result  {'resumed', owner, key id, seq, state, accepted samples, lease token or '', text, frames after the client's last…}
--         | {'refused', 'unknown' | 'used' | 'ended' | 'wrong_tenant' | 'seq_ahead' | 'frames_gone'}, and nothing was changed

local RECORD, FRAMES, TEXT = unpack(KEYS)
-- Sixteen hashes.
local ISSUED_CHARS = 16 * 44
local last_seq = tonumber(ARGV[3])
local owner, confirmed, token, before, issued, ended, tenant, seq, key_id, state, accepted, lease = unpack(redis.call('HMGET', RECORD,
  'owner', 'confirmed', 'token', 'before', 'issued', 'ended', 'tenant', 'seq', 'key', 'state', 'accepted', 'lease'))

if ended then return { 'refused', 'ended' } end
-- Until the client has been heard with one of them, any token issued since the last that it was heard with may be the one it
-- has: replies are lost, and questions come late, after others that were asked later.
local open_tokens = confirmed == '0' and issued or ''
if ARGV[1] == before and confirmed ~= '0' then
  return { 'refused', 'used' }
elseif ARGV[1] ~= token and not open_tokens:find(ARGV[1], 1, true) then
  return { 'refused', 'unknown' }
end
if tenant ~= ARGV[2] then return { 'refused', 'wrong_tenant' } end
seq = tonumber(seq)
if last_seq > seq then return { 'refused', 'seq_ahead' } end
local count = redis.call('LLEN', FRAMES)
if last_seq < seq - count then return { 'refused', 'frames_gone' } end

owner = tonumber(owner) + 1
-- The last few: a client that is never heard tries no more often within the TTL.
local issued_now = (open_tokens .. ' ' .. token .. ' ' .. ARGV[1]):sub(-ISSUED_CHARS)
redis.call('HSET', RECORD, 'owner', owner, 'save', 0, 'confirmed', 0, 'token', ARGV[4], 'before', ARGV[1], 'issued', issued_now)
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[5]) end
local results = { 'resumed', owner, key_id, seq, state, tonumber(accepted), lease, redis.call('GET', TEXT) or '' }
local missed = seq - last_seq
if missed > 0 then
  for _, frame in ipairs(redis.call('LRANGE', FRAMES, -missed, -1)) do results[#results + 1] = frame end
end
return results
