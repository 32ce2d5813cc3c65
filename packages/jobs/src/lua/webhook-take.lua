-- Hands events that are due to a gateway, each under a lease: one that is neither settled nor renewed comes back.
-- Tenants take turns, and none has more under way in one gateway than its share.
-- KEYS    1 jobs to tell of, by when they are due · 2 tenants with due ones, in turn · 3 jobs under way, by when their leases end
-- ARGV    1..3 beginnings of the keys of records, of events, of due jobs of a tenant · 4 token of the lease · 5 its length in ms
--         6 how many · 7 how many of one tenant may be under way · 8 JSON, tenant → how many this gateway has under way
-- result  {how many wait in all, 1 when more are due than were looked at, job, tenant, job, tenant, ...}
local RECORD, EVENT, DUE = ARGV[1], ARGV[2], ARGV[3]
local token, lease, limit, share = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local under_way = cjson.decode(ARGV[8])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Of one call, so that none is long.
local AT_ONCE = 200

local more = 0
local function line_up(source)
  local due = redis.call('ZRANGEBYSCORE', source, '-inf', now, 'LIMIT', 0, AT_ONCE)
  if #due == AT_ONCE then more = 1 end
  for _, id in ipairs(due) do
    redis.call('ZREM', source, id)
    -- Whoever had it has lost it.
    redis.call('HDEL', EVENT .. id, 'by')
    local spec = redis.call('HGET', RECORD .. id, 'spec')
    if spec then
      local tenant = cjson.decode(spec).tenantId
      if redis.call('RPUSH', DUE .. tenant, id) == 1 then redis.call('RPUSH', KEYS[2], tenant) end
    end
  end
end

local function lease_out(id)
  if redis.call('EXISTS', RECORD .. id) == 0 then return false end
  local over = redis.call('HMGET', EVENT .. id, 'acknowledged', 'given_up')
  if over[1] or over[2] then return false end
  redis.call('HSET', EVENT .. id, 'by', token)
  redis.call('ZADD', KEYS[3], now + lease, id)
  return true
end

line_up(KEYS[3])
line_up(KEYS[1])
local taken = {}
local looked, passed_over = 0, 0
while #taken < 2 * limit and looked < AT_ONCE do
  -- All that are left have their share.
  if passed_over >= redis.call('LLEN', KEYS[2]) then break end
  looked = looked + 1
  local tenant = redis.call('LPOP', KEYS[2])
  local busy = under_way[tenant] or 0
  if busy >= share then
    passed_over = passed_over + 1
    redis.call('RPUSH', KEYS[2], tenant)
  else
    passed_over = 0
    local id = redis.call('LPOP', DUE .. tenant)
    if redis.call('EXISTS', DUE .. tenant) == 1 then redis.call('RPUSH', KEYS[2], tenant) end
    if id and lease_out(id) then
      under_way[tenant] = busy + 1
      taken[#taken + 1] = id
      taken[#taken + 1] = tenant
    end
  end
end
if looked == AT_ONCE then more = 1 end
local waiting = redis.call('ZCARD', KEYS[1]) + redis.call('ZCARD', KEYS[3])
for _, tenant in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  waiting = waiting + redis.call('LLEN', DUE .. tenant)
end
return { waiting, more, unpack(taken) }
