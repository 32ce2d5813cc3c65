-- @include keys

-- Of each worker asked about, or false; a script call sees no other.
local records = {}

local function record_of(worker)
  if records[worker] == nil then
    local json = redis.call('HGET', WORKERS, worker)
    records[worker] = json and cjson.decode(json) or false
  end
  return records[worker]
end

local function write_record(worker, json)
  redis.call('HSET', WORKERS, worker, json)
  records[worker] = cjson.decode(json)
end

local function remove_record(worker)
  redis.call('HDEL', WORKERS, worker)
  records[worker] = false
end

-- A worker older than pools has none in its record, nor has a lease that it or its gateway wrote.
local function pool_of(record)
  return record.pool or 'default'
end
