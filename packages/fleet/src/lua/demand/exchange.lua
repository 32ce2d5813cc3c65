-- Notes what a gateway has been asked for, and tells what all gateways have noted.
-- KEYS    1 asked
-- ARGV    1 gateway · 2 what it has been asked for, as JSON · 3 ms for which that counts · 4 ms after which all is forgotten
-- result  {gateway, what it has been asked for, ...} of all whose note is not older than that, in no order
-- @include now

local ASKED = KEYS[1]
local life = tonumber(ARGV[3])
redis.call('HSET', ASKED, ARGV[1], string.format('%.0f ', now) .. ARGV[2])
redis.call('PEXPIRE', ASKED, ARGV[4])
local result, notes = {}, redis.call('HGETALL', ASKED)
for i = 1, #notes, 2 do
  local at, asked = notes[i + 1]:match('^(%d+) (.*)$')
  if now - tonumber(at) > life then
    redis.call('HDEL', ASKED, notes[i])
  else
    result[#result + 1] = notes[i]
    result[#result + 1] = asked
  end
end
return result
