-- Which delay the transcripts of each worker have.
-- KEYS    see includes/keys.lua
-- ARGV    none
-- result  {worker, delay in ms or -1 where it has none, 1 when ready or 0, ...} of workers that beat and have not failed
-- @include keys
-- @include now

local found = {}
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', BEATS, '(' .. now, '+inf')) do
  local json = redis.call('HGET', WORKERS, worker)
  local record = json and cjson.decode(json)
  if record and record.state ~= 'failed' then
    found[#found + 1] = worker
    found[#found + 1] = record.delayMs or -1
    found[#found + 1] = record.state == 'ready' and 1 or 0
  end
end
return found
