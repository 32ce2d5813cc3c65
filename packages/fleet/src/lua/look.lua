-- Whether a tenant could open one more session. Takes no place and counts nothing.
-- KEYS    see includes/keys.lua
-- ARGV    1 tenant · 2 its most sessions, 0 for any number · 3 its new sessions in a second, 0 for any number
-- result  {its sessions} | {its sessions, 'tenant_sessions' | 'tenant_rate', ms to wait or -1}
-- @include tenants

local tenant = ARGV[1]
local refusal = tenant_refusal(tenant, tonumber(ARGV[2]), tonumber(ARGV[3]))
if not refusal then return { tenant_sessions(tenant) } end
return { tenant_sessions(tenant), refusal[2], refusal[3] }
