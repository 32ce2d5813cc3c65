-- Takes a slot on the best worker. The cost does not depend on the number of workers.
-- KEYS    see includes/keys.lua
-- ARGV    1 token · 2 epoch to exceed · 3 claim TTL in ms · 4 most live leases in the pool, 0 for any number
--         5 'packing' | 'spread' · 6 session id · 7… ids of workers to pass over, no id twice
-- result  {'granted', worker, address, model, epoch} | {'refused', 'full' | 'limit' | 'no_workers'}
-- @include sweep

local token, min_epoch, claim_ttl, limit, policy, session = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]

-- More dead workers than a sweep removes may be in front; those left after so many rounds wait for the next call.
local PICK_ROUNDS = 100

local function free_workers(count)
  if policy == 'spread' then return redis.call('ZREVRANGEBYSCORE', FREE, '+inf', 1, 'LIMIT', 0, count) end
  return redis.call('ZRANGEBYSCORE', FREE, 1, '+inf', 'LIMIT', 0, count)
end

local function pick()
  local passed_over = {}
  for i = 7, #ARGV do passed_over[ARGV[i]] = true end
  for _ = 1, PICK_ROUNDS do
    local removed = false
    -- One more than are passed over: the first that is not decides.
    for _, worker in ipairs(free_workers(#ARGV - 6 + 1)) do
      if not passed_over[worker] then
        if is_live(worker) then return worker end
        remove_worker(worker)
        removed = true
      end
    end
    if not removed then return nil end
  end
end

local function usable_workers()
  local count = redis.call('ZCARD', FREE)
  for i = 7, #ARGV do
    if redis.call('ZSCORE', FREE, ARGV[i]) then count = count - 1 end
  end
  return count
end

local function granted(lease)
  return { 'granted', lease.worker, lease.address, lease.model, lease.epoch }
end

local held = read_live_lease(token)
if held then
  -- A claimed lease keeps its longer time. (Redis 6.0 has no ZADD GT.)
  local expiry = tonumber(redis.call('ZSCORE', LEASES, token) or 0)
  if now + claim_ttl > expiry then redis.call('ZADD', LEASES, now + claim_ttl, token) end
  return granted(held)
end
drop_lease(token)
sweep()

if limit > 0 and redis.call('ZCOUNT', LEASES, '(' .. now, '+inf') >= limit then return { 'refused', 'limit' } end

local worker = pick()
if not worker then return { 'refused', usable_workers() > 0 and 'full' or 'no_workers' } end

local epoch = math.max(tonumber(redis.call('GET', EPOCH) or 0), min_epoch) + 1
redis.call('SET', EPOCH, epoch)
local record = cjson.decode(redis.call('HGET', WORKERS, worker))
local lease = { worker = worker, epoch = epoch, address = record.address, model = record.model, session = session }
add_lease(token, lease, claim_ttl)
return granted(lease)
