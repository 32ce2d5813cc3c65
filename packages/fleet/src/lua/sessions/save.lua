-- Writes down what a session's connection has done since its last save, and books the audio.
-- KEYS    1 record · 2 frames · 3 text · 4 charged · 5 usage of the tenant on the day
-- ARGV    1 day · 2 owner · 3 number of the save, growing within an owner · 4 token hash · 5 tenant · 6 key id · 7 lease token or ''
--         8 accepted samples · 9 chars of the text saved before · 10 chars appended · 11 text appended · 12 state
--         13 seq of the last frame · 14 TTL in ms · 15 most frames · 16 most bytes of them
--         17 1 if the client is known to have the token, else 0 · 18… frames
-- result  'saved' | 'fenced' | 'text_missing' | {'day', today} when it is another day. Only 'saved' changed anything.
-- @include today
-- @include usage

local RECORD, FRAMES, TEXT, CHARGED, USAGE = unpack(KEYS)
local day, owner, save = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local accepted, at_char, added_chars = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local seq, ttl, max_frames, max_bytes = tonumber(ARGV[13]), ARGV[14], tonumber(ARGV[15]), tonumber(ARGV[16])
local FIRST_FRAME = 18

if day ~= today then return { 'day', today } end

local known = redis.call('HMGET', RECORD, 'owner', 'save', 'ended', 'seq', 'bytes', 'chars')
local known_owner = tonumber(known[1] or 0)
if known[3] or owner < known_owner then return 'fenced' end
-- Overtaken by a later save of the same owner: its caller has given it up long ago.
if owner == known_owner and save <= tonumber(known[2]) then return 'saved' end
if at_char > 0 and at_char ~= tonumber(known[6] or 0) then return 'text_missing' end

local known_seq, bytes = tonumber(known[4] or 0), tonumber(known[5] or 0)
local first = seq - (#ARGV - FIRST_FRAME + 1) + 1
-- Frames are kept without gaps: behind one, or when Redis has lost or turned back the record, the old ones are of no use.
if known_owner == 0 or first > known_seq + 1 or seq < known_seq then
  redis.call('DEL', FRAMES)
  known_seq, bytes = first - 1, 0
end
-- A repeated save brings frames that are here already.
for i = FIRST_FRAME + known_seq + 1 - first, #ARGV do
  redis.call('RPUSH', FRAMES, ARGV[i])
  bytes = bytes + #ARGV[i]
end
local count = redis.call('LLEN', FRAMES)
while count > max_frames or (bytes > max_bytes and count > 1) do
  bytes = bytes - #redis.call('LPOP', FRAMES)
  count = count - 1
end

if at_char == 0 then redis.call('DEL', TEXT) end
if added_chars > 0 then redis.call('APPEND', TEXT, ARGV[11]) end
redis.call('HSET', RECORD, 'owner', owner, 'save', save, 'token', ARGV[4], 'tenant', ARGV[5], 'key', ARGV[6], 'lease', ARGV[7],
  'accepted', ARGV[8], 'chars', at_char + added_chars, 'state', ARGV[12], 'seq', ARGV[13], 'bytes', bytes)
if ARGV[17] == '1' then redis.call('HSET', RECORD, 'confirmed', 1) end
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ttl) end
book(CHARGED, USAGE, day, ARGV[6], accepted)
return 'saved'
