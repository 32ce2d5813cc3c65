-- Takes a worker out of the fleet. Its leases stay until they are released or end.
-- KEYS    see includes/keys.lua
-- ARGV    1 worker
-- result  nothing
-- @include workers

remove_worker(ARGV[1])
