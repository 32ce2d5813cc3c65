-- @include keys
-- @include now

local function is_live(worker)
  local dead_at = redis.call('ZSCORE', BEATS, worker)
  return dead_at and tonumber(dead_at) > now
end

-- Of each worker asked about, or false; a script call sees no other.
local models = {}

-- Whether a worker serves a model; each does when none is named.
local function serves(worker, model)
  if not model then return true end
  if models[worker] == nil then
    local json = redis.call('HGET', WORKERS, worker)
    models[worker] = json and cjson.decode(json).model or false
  end
  return models[worker] == model
end

-- USED stays: it counts leases, which may outlive their worker's record.
local function remove_worker(worker)
  redis.call('ZREM', FREE, worker)
  redis.call('ZREM', BEATS, worker)
  redis.call('HDEL', WORKERS, worker)
end
