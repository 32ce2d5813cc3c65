-- @include keys
-- @include now
-- @include flow

-- Counts one lease or waiting session more or fewer of a tenant.
local function count_tenant(tenant, by)
  if redis.call('HINCRBY', TENANTS, tenant, by) <= 0 then redis.call('HDEL', TENANTS, tenant) end
end

local function tenant_sessions(tenant)
  return tonumber(redis.call('HGET', TENANTS, tenant) or 0)
end

-- How long an empty bucket takes to be full but for one session.
local function bucket_room(per_second)
  return (math.max(1, 2 * per_second) - 1) * 1000 / per_second
end

-- A bucket is kept as the time at which it is full again, so one that is full need not be kept. It is never emptier than
-- empty, whatever the rate was before, or the clock.
local function bucket_full_at(tenant, per_second)
  local full_at = tonumber(redis.call('ZSCORE', RATES, tenant) or 0)
  local empty = now + bucket_room(per_second) + 1000 / per_second
  if full_at > empty + 1 then
    full_at = empty
    redis.call('ZADD', RATES, full_at, tenant)
  end
  return math.max(now, full_at)
end

-- Milliseconds until the tenant may open a session, 0 for now. Bursts are of two seconds' worth, and of one session at least.
local function rate_wait(tenant, per_second)
  if per_second <= 0 then return 0 end
  -- A score of today's milliseconds is good to 0.0003 of one.
  return math.max(0, math.ceil(bucket_full_at(tenant, per_second) - now - bucket_room(per_second) - 0.01))
end

local function charge_rate(tenant, per_second)
  if per_second <= 0 then return end
  redis.call('ZADD', RATES, bucket_full_at(tenant, per_second) + 1000 / per_second, tenant)
  redis.call('ZREMRANGEBYSCORE', RATES, '-inf', now)
end

-- Why a tenant may open no session now, and for how long in ms; nil when it may.
local function tenant_refusal(tenant, max_sessions, per_second)
  local sessions = tenant_sessions(tenant)
  if max_sessions > 0 and sessions >= max_sessions then
    return { 'refused', 'tenant_sessions', retry_after(1, sessions) }
  end
  local wait = rate_wait(tenant, per_second)
  if wait > 0 then return { 'refused', 'tenant_rate', wait } end
end
