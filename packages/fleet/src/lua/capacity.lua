-- Counts the fleet in one pass over its workers.
-- KEYS    see includes/keys.lua
-- ARGV    pools that newcomers get no slot of: what is free there counts for the pool alone
-- result  JSON, see CapacityReply in worker-registry.ts
-- @include pools
-- @include now
-- @include wishes

local function sum_of(counts)
  local sum = 0
  for i = 2, #counts, 2 do sum = sum + tonumber(counts[i]) end
  return sum
end

local function table_of(counts)
  local found = {}
  for i = 1, #counts, 2 do found[counts[i]] = tonumber(counts[i + 1]) end
  return found
end

local scored, used = table_of(redis.call('ZRANGE', FREE, 0, -1, 'WITHSCORES')), table_of(redis.call('HGETALL', USED))
local wanted = {}
local total = {
  workers = 0, readyWorkers = 0, failedWorkers = 0, slots = 0, free = 0,
  leased = redis.call('ZCOUNT', LEASES, '(' .. now, '+inf'),
  waiting = redis.call('ZCOUNT', TICKET_ENDS, '(' .. now, '+inf'),
  waitingForAny = redis.call('HLEN', TICKETS),
  -- A tenant's count has its leases, and those tickets whose session holds none.
  moving = redis.call('ZCARD', LEASES) + redis.call('HLEN', TICKETS) - sum_of(redis.call('HGETALL', TENANTS)),
}
local free_of, pools = {}, {}

local wishes = redis.call('HGETALL', WANTED)
for i = 1, #wishes, 2 do
  local model, count = read_wish(wishes[i]), tonumber(wishes[i + 1])
  if model then
    wanted[model] = (wanted[model] or 0) + count
    total.waitingForAny = total.waitingForAny - count
  end
end

local function pool(name)
  pools[name] = pools[name] or { workers = 0, readyWorkers = 0, slots = 0, leased = 0, leaving = 0, free = 0, models = {} }
  return pools[name]
end

for name, leased in pairs(pool_leases()) do
  pool(name).leased = leased
  -- But for those met below whose worker stays.
  pool(name).leaving = leased
end

local function add(key, by, ours)
  total[key] = total[key] + by
  ours[key] = ours[key] + by
end

for _, worker in ipairs(redis.call('ZRANGEBYSCORE', BEATS, '(' .. now, '+inf')) do
  local score, record = scored[worker], record_of(worker)
  if record and not score and record.state == 'failed' then
    total.failedWorkers = total.failedWorkers + 1
  elseif record then
    local name = pool_of(record)
    local ours = pool(name)
    local leased = used[worker] or 0
    add('workers', 1, ours)
    ours.models[record.model] = true
    if record.state ~= 'draining' then ours.leaving = ours.leaving - leased end
    if score then
      local free = math.max(score, 0)
      add('readyWorkers', 1, ours)
      add('slots', score + leased, ours)
      ours.free = ours.free + free
      if not is_closed({ closed = ARGV }, name) then
        total.free = total.free + free
        free_of[record.model] = (free_of[record.model] or 0) + free
      end
    end
  end
end
total.models, total.wanted, total.pools = free_of, wanted, pools
return cjson.encode(total)
