-- @include workers
-- @include leases

-- More dead workers than a sweep removes may be in front; those left after so many rounds wait for the next call.
local PICK_ROUNDS = 100

local function free_workers(policy, count, offset)
  if policy == 'spread' then return redis.call('ZREVRANGEBYSCORE', FREE, '+inf', 1, 'LIMIT', offset, count) end
  return redis.call('ZRANGEBYSCORE', FREE, 1, '+inf', 'LIMIT', offset, count)
end

-- Free workers are looked at by so many, where some of them may serve another model.
local PICK_BATCH = 64

-- The best worker with a free slot that serves 'model' (any when it is nil) and is not in 'exclude'. The cost does not depend
-- on the number of workers, but for those with free slots that serve other models.
local function pick(policy, exclude, model)
  local passed_over = {}
  for _, worker in ipairs(exclude) do passed_over[worker] = true end
  -- One more than are passed over: the first that is not decides.
  local offset, count = 0, #exclude + 1
  for _ = 1, PICK_ROUNDS do
    local removed = 0
    local workers = free_workers(policy, count, offset)
    for _, worker in ipairs(workers) do
      if not passed_over[worker] and serves(worker, model) then
        if is_live(worker) then return worker end
        remove_worker(worker)
        removed = removed + 1
      end
    end
    if #workers < count then return nil end
    offset = offset + #workers - removed
    if model then count = PICK_BATCH end
  end
end

-- The slot that a mover holds itself, if its worker still takes sessions.
local function own_slot(old, exclude, model)
  if not old or not is_live(old.worker) or not serves(old.worker, model) then return nil end
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
  local record = record_of(worker)
  local lease = {
    worker = worker, pool = pool_of(record), epoch = epoch, address = record.address, model = record.model,
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
