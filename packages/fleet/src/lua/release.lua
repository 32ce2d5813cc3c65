-- Ends a lease and gives its slot back, to whoever is next in line.
-- KEYS    see includes/keys.lua
-- ARGV    1 token · 2 epoch
-- result  1 | 0 when the lease had ended before or is of another epoch
-- @include dispatch

local lease = read_live_lease(ARGV[1])
if not lease or lease.epoch ~= tonumber(ARGV[2]) then return 0 end
end_lease(ARGV[1])
note_given_up(ARGV[1])
dispatch(LAST_CLASS)
return 1
