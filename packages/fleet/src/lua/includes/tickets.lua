-- @include keys
-- @include now
-- @include tenants
-- @include wishes

-- A ticket is the request it stands for: {session, tenant, class, cost, min_epoch, claim_ttl, policy, limit, replaces, exclude, model,
-- weights, closed},
-- with 'place', its member in QUEUE, and 'counted', whether the tenant's count has it. A mover whose old lease lives is not
-- counted: that lease is.
--
-- Who is next is fair queueing by virtual time. A line is a class and a tenant, its tickets stand in QUEUE by age. Each ticket
-- brings its line one seat in SEATS; the score is its class and the virtual time at which it may be taken. Seats of a line
-- are 'cost' apart, which is less for more weight. The lowest seat of all is next, for the oldest ticket of its line that can
-- be served. A ticket that leaves takes the last seat of its line with it, so nobody is late for those that went.
-- Tickets that wait for another model than that of the free slots, or for another pool, are passed by like those that exclude their
-- workers: nobody waits for them, and they keep their place. WANTED tells without a look at them whether any slot could be of use.
-- LINES has of each line with tickets the numbers of its first and behind its last seat, and the time of its next one.
-- IDLE has the next time of lines without tickets while it lies ahead of the others: leaving and coming back gains nothing.

-- The score of a seat: class times this, plus virtual time. Whole numbers, exact up to 2^53.
local CLASS_SPAN = 2 ^ 51
local LAST_CLASS = 3

local function read_ticket(token)
  local data = redis.call('HGET', TICKETS, token)
  return data and cjson.decode(data)
end

local function write_ticket(token, ticket)
  redis.call('HSET', TICKETS, token, cjson.encode(ticket))
end

-- A ticket that any slot will do is counted nowhere.
local function count_wanted(ticket, by)
  local wish = wish_of(ticket)
  if wish and redis.call('HINCRBY', WANTED, wish, by) <= 0 then redis.call('HDEL', WANTED, wish) end
end

local function line_of(ticket)
  return ticket.class .. '/' .. ticket.tenant
end

local function seat_of(line, number)
  return line .. '/' .. number
end

local function read_line(line)
  local text = redis.call('HGET', LINES, line)
  if not text then return nil end
  local first, behind, next_time = text:match('^(%d+) (%d+) (%d+)$')
  return tonumber(first), tonumber(behind), tonumber(next_time)
end

-- Virtual time of a class: that of its lowest seat, so it stands still while nobody is served and never goes back.
local function virtual_now(class)
  local lowest = redis.call('ZRANGEBYSCORE', SEATS, class * CLASS_SPAN, string.format('(%.0f', (class + 1) * CLASS_SPAN), 'WITHSCORES', 'LIMIT', 0, 1)
  return lowest[2] and tonumber(lowest[2]) - class * CLASS_SPAN
end

local function write_line(class, line, first, behind, next_time)
  if first < behind then
    redis.call('HSET', LINES, line, string.format('%d %d %.0f', first, behind, next_time))
  else
    redis.call('HDEL', LINES, line)
    redis.call('ZADD', IDLE, class * CLASS_SPAN + next_time, line)
  end
  local from = class * CLASS_SPAN
  local virtual = virtual_now(class)
  redis.call('ZREMRANGEBYSCORE', IDLE, from, virtual and from + virtual or string.format('(%.0f', from + CLASS_SPAN))
end

local function add_ticket(token, ticket, ttl, waited)
  local class, line = ticket.class, line_of(ticket)
  local first, behind, next_time = read_line(line)
  if not first then
    first, behind = 0, 0
    next_time = tonumber(redis.call('ZSCORE', IDLE, line) or class * CLASS_SPAN) - class * CLASS_SPAN
    redis.call('ZREM', IDLE, line)
  end
  local time_of_seat = math.max(next_time, virtual_now(class) or 0)
  redis.call('ZADD', SEATS, class * CLASS_SPAN + time_of_seat, seat_of(line, behind))
  write_line(class, line, first, behind + 1, time_of_seat + ticket.cost)
  -- By age, in microseconds.
  ticket.place = string.format('%s/%016.0f/%s', line, time[1] * 1000000 + time[2] - waited * 1000, token)
  redis.call('ZADD', QUEUE, 0, ticket.place)
  redis.call('ZADD', TICKET_ENDS, now + ttl, token)
  write_ticket(token, ticket)
  count_wanted(ticket, 1)
  if ticket.counted then count_tenant(ticket.tenant, 1) end
end

local function remove_ticket(token, ticket)
  redis.call('HDEL', TICKETS, token)
  redis.call('ZREM', TICKET_ENDS, token)
  redis.call('ZREM', QUEUE, ticket.place)
  count_wanted(ticket, -1)
  if redis.call('HLEN', TICKETS) == 0 then redis.call('DEL', WANTED) end
  if ticket.counted then count_tenant(ticket.tenant, -1) end
end

-- The ticket is served: the line has had the first of its seats.
local function take_turn(token, ticket)
  remove_ticket(token, ticket)
  local line = line_of(ticket)
  local first, behind, next_time = read_line(line)
  redis.call('ZREM', SEATS, seat_of(line, first))
  write_line(ticket.class, line, first + 1, behind, next_time)
end

-- The ticket goes without: the line gives back the last of its seats.
local function leave_line(token, ticket)
  remove_ticket(token, ticket)
  local line = line_of(ticket)
  local first, behind = read_line(line)
  local last = seat_of(line, behind - 1)
  local time_of_seat = tonumber(redis.call('ZSCORE', SEATS, last)) - ticket.class * CLASS_SPAN
  redis.call('ZREM', SEATS, last)
  write_line(ticket.class, line, first, behind - 1, time_of_seat)
end

-- The n-th of its line gets the n-th seat.
local function position_of(ticket)
  local line = line_of(ticket)
  local ahead = redis.call('ZLEXCOUNT', QUEUE, '[' .. line .. '/', '(' .. ticket.place)
  return redis.call('ZRANK', SEATS, seat_of(line, read_line(line) + ahead)) + 1
end
