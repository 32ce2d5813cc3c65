-- Keeps a worker alive and updates its record; with 'register' also makes it known, together with the leases it serves.
-- KEYS    see includes/keys.lua
-- ARGV    1 worker · 2 beat TTL in ms · 3 record as JSON: {address, model, engine, pool?, ordinal?, slots, state, delayMs?}
--         4 'register' or nothing · 5 lease TTL in ms · then for each lease: token, epoch, session, tenant
-- result  'ok' | 'unknown' when the worker must register
-- @include sweep
-- @include dispatch

local worker, ttl, record = ARGV[1], tonumber(ARGV[2]), cjson.decode(ARGV[3])

-- Leases the worker serves but Redis has lost, or has let run out while nobody could renew them.
local function adopt(token, epoch, session, tenant)
  local known = read_lease(token)
  if given_up_ago(token) then return end
  if not known then
    local lease = { worker = worker, pool = pool_of(record), epoch = epoch, address = record.address, model = record.model, session = session, tenant = tenant }
    add_lease(token, lease, tonumber(ARGV[5]))
  elseif known.worker == worker and known.epoch == epoch then
    redis.call('ZADD', LEASES, now + tonumber(ARGV[5]), token)
  end
end

local function beat()
  -- A worker that has been live all along brings nothing: what is missing here was declared lost to its gateway.
  if not is_live(worker) then
    if ARGV[4] ~= 'register' then return 'unknown' end
    local last_epoch = tonumber(redis.call('GET', EPOCH) or 0)
    for i = 6, #ARGV, 4 do
      local epoch = tonumber(ARGV[i + 1])
      last_epoch = math.max(last_epoch, epoch)
      adopt(ARGV[i], epoch, ARGV[i + 2], ARGV[i + 3])
    end
    redis.call('SET', EPOCH, last_epoch)
  end

  redis.call('ZADD', BEATS, now + ttl, worker)
  local ready = record.state == 'ready'
  -- Its places in ROOM are told by the record, so those of the old one go first.
  set_free(worker, nil)
  write_record(worker, ARGV[3])
  if ready then set_free(worker, record.slots - tonumber(redis.call('HGET', USED, worker) or 0)) end
  return 'ok'
end

sweep()
local result = beat()
dispatch(LAST_CLASS)
return result
