-- @include now
-- @include room

local function is_live(worker)
  local dead_at = redis.call('ZSCORE', BEATS, worker)
  return dead_at and tonumber(dead_at) > now
end

-- Whether a worker serves a model; each does when none is named.
local function serves(worker, model)
  if not model then return true end
  local record = record_of(worker)
  return record and record.model == model
end

-- USED stays: it counts leases, which may outlive their worker's record.
local function remove_worker(worker)
  set_free(worker, nil)
  redis.call('ZREM', BEATS, worker)
  remove_record(worker)
end
