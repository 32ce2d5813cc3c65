-- @include workers
-- @include leases
-- @include pools
-- @include wishes

-- More dead workers than a sweep removes may be in front; those left after so many rounds wait for the next call.
local PICK_ROUNDS = 100

-- Free workers are looked at by so many, where some of them may serve another model.
local PICK_BATCH = 64

-- The first worker with a free slot by the policy of the terms, of a pool or of all, that serves their model and that they do
-- not exclude. The cost does not depend on the number of workers, but for those with free slots that serve other models.
local function first_worker(terms, pool)
  local passed_over = {}
  for _, worker in ipairs(terms.exclude) do passed_over[worker] = true end
  -- One more than are passed over: the first that is not decides.
  local offset, count = 0, #terms.exclude + 1
  for _ = 1, PICK_ROUNDS do
    local removed = 0
    local workers = workers_with_room(terms.policy, pool, offset, count)
    for _, worker in ipairs(workers) do
      if not passed_over[worker] and serves(worker, terms.model) then
        if is_live(worker) then return worker end
        remove_worker(worker)
        removed = removed + 1
      end
    end
    if #workers < count then return nil end
    offset = offset + #workers - removed
    if terms.model then count = PICK_BATCH end
  end
end

-- Pools with room that are open to the terms: those first that have the fewest leases for their weight, then those of more weight.
local function pools_by_load(terms)
  local leases, open, load, weight = pool_leases(), {}, {}, {}
  for _, pool in ipairs(pools_with_room()) do
    if not is_closed(terms, pool) then
      open[#open + 1] = pool
      weight[pool] = terms.weights[pool] or 1
      load[pool] = weight[pool] == 0 and math.huge or (leases[pool] or 0) / weight[pool]
    end
  end
  table.sort(open, function(a, b)
    if load[a] ~= load[b] then return load[a] < load[b] end
    if weight[a] ~= weight[b] then return weight[a] > weight[b] end
    return a < b
  end)
  return open
end

-- The slot that a mover holds itself, if its worker still takes sessions.
local function own_slot(old, terms)
  if not old or not is_live(old.worker) or not serves(old.worker, terms.model) then return nil end
  for _, worker in ipairs(terms.exclude) do
    if worker == old.worker then return nil end
  end
  local free = free_of(old.worker)
  return free and free >= 0 and old.worker or nil
end

-- A session that moves goes to a pool of weight 0 only if it cannot stay either; to others such a pool is closed.
local function best_worker(terms, old)
  if not terms.weights then return first_worker(terms, nil) or own_slot(old, terms) end
  for _, pool in ipairs(pools_by_load(terms)) do
    local worker = terms.weights[pool] == 0 and own_slot(old, terms) or first_worker(terms, pool)
    if worker then return worker end
  end
  return own_slot(old, terms)
end

-- The worker for these terms, {policy, exclude, model?, weights?, closed?}, and a session that may keep the slot of the lease 'old'.
local function pick(terms, old)
  if not terms.weights and terms.policy ~= 'ordinal' then return best_worker(terms, old) end
  keep_room()
  local worker = best_worker(terms, old)
  if not worker or old and old.worker == worker or free_of(worker) >= 1 then return worker end
  fill_room()
  return best_worker(terms, old)
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
