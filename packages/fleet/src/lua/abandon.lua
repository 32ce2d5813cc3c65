-- Ends a ticket, or the lease granted to it meanwhile.
-- KEYS    see includes/keys.lua
-- ARGV    1 token
-- result  1 | 0 when there was neither
-- @include dispatch

local token = ARGV[1]
local ticket, lease = read_ticket(token), read_live_lease(token)
if ticket then leave_line(token, ticket) end
if lease then
  end_lease(token)
  note_given_up(token)
end
dispatch(LAST_CLASS)
return (ticket or lease) and 1 or 0
