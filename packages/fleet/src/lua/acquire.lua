-- Takes a slot on the best worker, at once or, with 'enter', after waiting in line.
-- KEYS    see includes/keys.lua
-- ARGV    1 'acquire' | 'enter' · 2 token · 3 terms as JSON, see includes/tickets.lua · 4 the tenant's most sessions, 0 for any number
--         5 its new sessions in a second, 0 for any number · 6 ticket TTL in ms · 7 tickets at which newcomers may not enter
--         8 ms for which a ticket that was lost has waited
-- result  {'granted', worker, address, model, epoch} | {'waiting', position, estimate in ms}
--         | {'refused', 'full' | 'limit' | 'no_workers' | 'line_full' | 'tenant_sessions' | 'tenant_rate', ms to wait}
--         Times that are not known are -1.
-- @include sweep
-- @include dispatch

local mode, token, terms = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
local max_sessions, per_second = tonumber(ARGV[4]), tonumber(ARGV[5])
local ticket_ttl, max_waiting, waited = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local function granted(lease)
  return { 'granted', lease.worker, lease.address, lease.model, lease.epoch }
end

local function waiting(ticket)
  local position = position_of(ticket)
  return { 'waiting', position, estimate(position, redis.call('ZCARD', LEASES)) }
end

local function suits(worker)
  return serves(worker, terms.model) and not (terms.closed and is_closed(terms, pool_of(record_of(worker) or {})))
end

-- Ready workers that this request might have a slot of, if they had one.
local function usable_workers()
  local count = redis.call('ZCARD', FREE)
  if terms.model or terms.closed then
    count = 0
    for _, worker in ipairs(redis.call('ZRANGE', FREE, 0, -1)) do
      if suits(worker) then count = count + 1 end
    end
  end
  for _, worker in ipairs(terms.exclude) do
    if redis.call('ZSCORE', FREE, worker) and suits(worker) then count = count - 1 end
  end
  return count
end

local function no_slot(reason)
  -- All in line that a newcomer of this class would wait for.
  local ahead = redis.call('ZCOUNT', SEATS, '-inf', string.format('(%.0f', (terms.class + 1) * CLASS_SPAN))
  if reason == 'no_workers' then return { 'refused', reason, -1 } end
  return { 'refused', reason, retry_after(ahead + 1, redis.call('ZCARD', LEASES)) }
end

local function why_not(limited)
  return limited and 'limit' or usable_workers() > 0 and 'full' or 'no_workers'
end

-- How a token stands that has a lease or a ticket.
local function standing()
  local held = read_live_lease(token)
  if held then
    extend_claim(token, terms.claim_ttl)
    return granted(held)
  end
  local ticket = read_ticket(token)
  return ticket and waiting(ticket)
end

-- A ticket's last chance: nobody asks for it after that.
local function leave()
  local ticket = read_ticket(token)
  leave_line(token, ticket)
  return no_slot(why_not(at_limit(ticket.limit)))
end

-- A session that comes back within this time goes before all newcomers.
local RESUME_FIRST_MS = 30000

local function first_answer()
  -- Its tenant has a place for it already.
  local old = replaced_lease(terms)
  -- Sessions that were left for long are no reason to make others wait.
  local left_ms = terms.replaces and given_up_ago(terms.replaces)
  if terms.own_class and not old and not (left_ms and left_ms < RESUME_FIRST_MS) then terms.class = terms.own_class end
  local refusal = not old and tenant_refusal(terms.tenant, max_sessions, per_second)
  if refusal then return refusal end
  -- Nobody is overtaken: what is left then, nobody before this one can have.
  dispatch(terms.class)
  local limited = not old and at_limit(terms.limit)
  local worker = not limited and pick(terms, old)
  if worker then
    charge_rate(terms.tenant, per_second)
    return granted(grant(token, terms, worker, old))
  end
  local reason = why_not(limited)
  if mode == 'acquire' then return no_slot(reason) end
  if terms.class > 0 and redis.call('HLEN', TICKETS) >= max_waiting then return no_slot('line_full') end
  charge_rate(terms.tenant, per_second)
  terms.counted = not old
  add_ticket(token, terms, ticket_ttl, waited)
  if old then
    old.mover = token
    write_lease(terms.replaces, old)
  end
end

local known = read_ticket(token) or read_live_lease(token)
if known then
  redis.call('ZADD', TICKET_ENDS, 'XX', now + ticket_ttl, token)
else
  end_lease(token)
end
sweep()
local reply = not known and first_answer()
dispatch(LAST_CLASS)
reply = reply or standing()
return reply[1] == 'waiting' and mode == 'acquire' and leave() or reply
