-- @include now

-- Days since 1970 in UTC. The caller names the day whose keys it declares; a wrong one is answered with the right one.
local today = math.floor(now / 86400000)
