-- Gives the records of live connections a full TTL, and says which of them are theirs no more.
-- KEYS    for each session: record, frames, text
-- ARGV    1 TTL in ms · then for each session: owner
-- result  for each session 'kept' | 'fenced' | 'missing'

local results = {}
for i = 1, #KEYS, 3 do
  local owner, known = tonumber(ARGV[1 + (i + 2) / 3]), redis.call('HMGET', KEYS[i], 'owner', 'ended')
  local kind = 'kept'
  if not known[1] then
    kind = 'missing'
  elseif known[2] or tonumber(known[1]) > owner then
    kind = 'fenced'
  else
    for at = i, i + 2 do redis.call('PEXPIRE', KEYS[at], ARGV[1]) end
  end
  results[#results + 1] = kind
end
return results
