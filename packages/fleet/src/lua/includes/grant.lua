-- @include workers
-- @include leases

-- More dead workers than a sweep removes may be in front; those left after so many rounds wait for the next call.
local PICK_ROUNDS = 100

local function free_workers(policy, count)
  if policy == 'spread' then return redis.call('ZREVRANGEBYSCORE', FREE, '+inf', 1, 'LIMIT', 0, count) end
  return redis.call('ZRANGEBYSCORE', FREE, 1, '+inf', 'LIMIT', 0, count)
end

-- The best worker with a free slot that is not in 'exclude'. The cost does not depend on the number of workers.
local function pick(policy, exclude)
  local passed_over = {}
  for _, worker in ipairs(exclude) do passed_over[worker] = true end
  for _ = 1, PICK_ROUNDS do
    local removed = false
    -- One more than are passed over: the first that is not decides.
    for _, worker in ipairs(free_workers(policy, #exclude + 1)) do
      if not passed_over[worker] then
        if is_live(worker) then return worker end
        remove_worker(worker)
        removed = true
      end
    end
    if not removed then return nil end
  end
end

-- The slot that a mover holds itself, if its worker still takes sessions.
local function own_slot(old, exclude)
  if not old or not is_live(old.worker) then return nil end
  for _, worker in ipairs(exclude) do
    if worker == old.worker then return nil end
  end
  local free = redis.call('ZSCORE', FREE, old.worker)
  return free and tonumber(free) >= 0 and old.worker or nil
end

local function at_limit(limit)
  return limit > 0 and redis.call('ZCOUNT', LEASES, '(' .. now, '+inf') >= limit
end

-- 'terms' are those of a ticket. 'old': the live lease that this one replaces, which ends here.
local function grant(token, terms, worker, old)
  local epoch = math.max(tonumber(redis.call('GET', EPOCH) or 0), terms.min_epoch) + 1
  redis.call('SET', EPOCH, epoch)
  local record = cjson.decode(redis.call('HGET', WORKERS, worker))
  local lease = {
    worker = worker, epoch = epoch, address = record.address, model = record.model,
    session = terms.session, tenant = terms.tenant, since = now,
  }
  if old then
    lease.since = old.since
    drop_lease(terms.replaces)
    note_given_up(terms.replaces)
  end
  add_lease(token, lease, terms.claim_ttl)
  return lease
end
