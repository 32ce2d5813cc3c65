-- Which models the workers of the fleet serve.
-- KEYS    see includes/keys.lua
-- ARGV    none
-- result  {model, ...}, each once, of workers that beat and have not failed
-- @include keys
-- @include now

local seen, models = {}, {}
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', BEATS, '(' .. now, '+inf')) do
  local json = redis.call('HGET', WORKERS, worker)
  local record = json and cjson.decode(json)
  if record and record.state ~= 'failed' and not seen[record.model] then
    seen[record.model] = true
    models[#models + 1] = record.model
  end
end
return models
