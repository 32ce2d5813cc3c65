-- Books audio of many sessions.
-- KEYS    for each charge: charged, usage of its tenant on the day
-- ARGV    1 day · then for each charge: key id, accepted samples
-- result  {'booked', for each charge the samples of its tenant on the day} | {'day', today} when it is another day
-- @include today
-- @include usage

local day = tonumber(ARGV[1])
if day ~= today then return { 'day', today } end
local results = { 'booked' }
for i = 1, #KEYS, 2 do
  results[#results + 1] = book(KEYS[i], KEYS[i + 1], day, ARGV[i + 1], tonumber(ARGV[i + 2]))
end
return results
