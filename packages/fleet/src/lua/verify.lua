-- Tells a worker whether a link's lease is good for it.
-- KEYS    see includes/keys.lua
-- ARGV    1 token · 2 worker · 3 epoch · 4 session id · 5 tenant
-- result  'valid' | 'lease_unknown' | 'stale_epoch'
-- @include leases

local lease = read_live_lease(ARGV[1])
if not lease or lease.worker ~= ARGV[2] or lease.session ~= ARGV[4] or lease.tenant ~= ARGV[5] then return 'lease_unknown' end
if lease.epoch ~= tonumber(ARGV[3]) then return 'stale_epoch' end
return 'valid'
