-- @include records

-- ROOM has the workers with a free slot in those orders that FREE has not: by ordinal, and in each pool by ordinal and by free
-- slots. A member is 'pool/order/key/worker', the pool empty for all; all have score 0, so they stand in the order of their text.

local PLACES = 3

-- The members of a worker with so many free slots.
local function places(worker, free)
  local record = record_of(worker) or {}
  local pool = pool_of(record)
  local by_free = string.format('%06d/%s', free, worker)
  local by_ordinal = string.format('%06d/%s', record.ordinal or 0, by_free)
  return '/o/' .. by_ordinal, pool .. '/o/' .. by_ordinal, pool .. '/f/' .. by_free
end

local function add_places(worker, free)
  local all, ordinal, by_free = places(worker, free)
  redis.call('ZADD', ROOM, 0, all, 0, ordinal, 0, by_free)
end

local function free_of(worker)
  return tonumber(redis.call('ZSCORE', FREE, worker))
end

-- How many slots a worker has free from now on, below zero when over-committed; nil when it takes no leases.
local function set_free(worker, free)
  local before = free_of(worker)
  if before and before >= 1 then redis.call('ZREM', ROOM, places(worker, before)) end
  if not free then
    redis.call('ZREM', FREE, worker)
  else
    redis.call('ZADD', FREE, free, worker)
    if free >= 1 then add_places(worker, free) end
  end
end

local function fill_room()
  redis.call('DEL', ROOM)
  local scores = redis.call('ZRANGEBYSCORE', FREE, 1, '+inf', 'WITHSCORES')
  for i = 1, #scores, 2 do add_places(scores[i], tonumber(scores[i + 1])) end
end

-- Processes older than ROOM change FREE alone; that is seen by the number.
local function keep_room()
  if redis.call('ZCARD', ROOM) ~= PLACES * redis.call('ZCOUNT', FREE, 1, '+inf') then fill_room() end
end

-- Workers with a free slot by policy; 'pool' nil: of all.
local function workers_with_room(policy, pool, offset, count)
  if not pool and policy == 'spread' then return redis.call('ZREVRANGEBYSCORE', FREE, '+inf', 1, 'LIMIT', offset, count) end
  if not pool and policy == 'packing' then return redis.call('ZRANGEBYSCORE', FREE, 1, '+inf', 'LIMIT', offset, count) end
  local order = (pool or '') .. (policy == 'ordinal' and '/o' or '/f')
  local from, to = '[' .. order .. '/', '(' .. order .. '0'
  local members = policy == 'spread' and redis.call('ZREVRANGEBYLEX', ROOM, to, from, 'LIMIT', offset, count)
    or redis.call('ZRANGEBYLEX', ROOM, from, to, 'LIMIT', offset, count)
  for i, member in ipairs(members) do members[i] = member:match('[^/]+$') end
  return members
end

-- Their names sort behind '/', which the members of all workers begin with.
local function pools_with_room()
  local pools, from = {}, '[0'
  while true do
    local member = redis.call('ZRANGEBYLEX', ROOM, from, '+', 'LIMIT', 0, 1)[1]
    if not member then return pools end
    local pool = member:match('^[^/]+')
    pools[#pools + 1] = pool
    from = '[' .. pool .. '0'
  end
end
