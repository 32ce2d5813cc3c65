-- @include grant

-- Whether a slot is free that somebody in line could have, but for the workers that each excludes.
local function slot_for_some()
  if redis.call('ZCARD', SEATS) == 0 or redis.call('ZCOUNT', FREE, 1, '+inf') == 0 then return false end
  local wanted = redis.call('HGETALL', WANTED)
  local picky = 0
  for i = 1, #wanted, 2 do
    picky = picky + tonumber(wanted[i + 1])
    local model, closed = read_wish(wanted[i])
    if pick({ policy = 'packing', exclude = {}, model = model, weights = closed and {}, closed = closed }) then return true end
  end
  return redis.call('HLEN', TICKETS) > picky
end

-- Serves one ticket of a line, the oldest that can be. 'none_for': wishes that no free slot is for.
-- result  'served' | 'moved', which freed another slot | 'limit' of the fleet | 'none' can be served | 'empty'
local function serve_line(line, none_for)
  local passed = 0
  while true do
    local place = redis.call('ZRANGEBYLEX', QUEUE, '[' .. line .. '/', '(' .. line .. '0', 'LIMIT', passed, 1)[1]
    if not place then return passed > 0 and 'none' or 'empty' end
    local token = place:match('[^/]+$')
    local ticket = read_ticket(token)
    if tonumber(redis.call('ZSCORE', TICKET_ENDS, token)) <= now then
      leave_line(token, ticket)
    else
      local old = replaced_lease(ticket)
      local stopped = not old and at_limit(ticket.limit)
      if stopped and ticket.class > 0 then return 'limit' end
      local wish = wish_of(ticket)
      local hopeless = stopped or wish and none_for[wish]
      local worker = not hopeless and pick(ticket)
      if worker then
        take_turn(token, ticket)
        local lease = grant(token, ticket, worker, old)
        redis.call('PUBLISH', GRANTS, cjson.encode({ token, lease.worker, lease.address, lease.model, lease.epoch }))
        return old and 'moved' or 'served'
      end
      if not hopeless and wish and #ticket.exclude == 0 then none_for[wish] = true end
      passed = passed + 1
    end
  end
end

-- Gives free slots to those in line, up to a class, until no slot is left or nobody who may have one.
local function dispatch(last_class)
  local index, passed_over, none_for = 0, {}, {}
  local useful = slot_for_some()
  while useful and redis.call('ZCARD', SEATS) > index do
    local line = redis.call('ZRANGE', SEATS, index, index)[1]:match('^(.+)/%d+$')
    if tonumber(line:match('^%d')) > last_class then return end
    local outcome = passed_over[line] and 'none' or serve_line(line, none_for)
    if outcome == 'limit' then return end
    if outcome == 'none' or outcome == 'empty' then
      -- The seats of an empty line are gone; the others are passed one by one.
      passed_over[line] = true
      if outcome == 'none' then index = index + 1 end
    else
      if outcome == 'moved' then index, passed_over, none_for = 0, {}, {} end
      useful = slot_for_some()
    end
  end
end
