-- Keeps a new job, unless its request was heard before or there are as many that are not over as there may be.
-- KEYS    1 record · 2 the tenant's jobs · 3 the tenant's open jobs · 4 all open jobs · 5 jobs not queued yet · 6 name of the request
-- ARGV    1 id · 2 what never changes of it, as JSON · 3 now in ms · 4 the most open jobs of a tenant, 0 for any number · 5 of all
--         6 1 when it has a webhook · 7 print of the request, or '' when it has no name · 8 how long the name is kept in ms
-- result  {'created'} | {'known'} | {'too_many'} | {'full'} | {'same', id of the job made then} | {'conflict'}
if ARGV[7] ~= '' then
  local held = redis.call('HMGET', KEYS[6], 'print', 'job')
  if held[2] and held[2] ~= ARGV[1] then
    if held[1] ~= ARGV[7] then return { 'conflict' } end
    return { 'same', held[2] }
  end
end
if redis.call('EXISTS', KEYS[1]) == 1 then return { 'known' } end
local ofTenant, ofAll = tonumber(ARGV[4]), tonumber(ARGV[5])
if ofTenant > 0 and redis.call('ZCARD', KEYS[3]) >= ofTenant then return { 'too_many' } end
if ofAll > 0 and redis.call('ZCARD', KEYS[4]) >= ofAll then return { 'full' } end
redis.call('HSET', KEYS[1], 'spec', ARGV[2], 'state', 'queued', 'attempts', 0, 'done', 0, 'webhook', ARGV[6])
-- Ids tell when they were made, so one score for all gives their order and an exact place in it.
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[5], ARGV[3], ARGV[1])
if ARGV[7] ~= '' then
  redis.call('HSET', KEYS[6], 'print', ARGV[7], 'job', ARGV[1])
  redis.call('PEXPIRE', KEYS[6], ARGV[8])
end
return { 'created' }
