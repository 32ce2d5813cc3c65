-- What became of an attempt. An acknowledgement counts whoever brings it, and once; all else only of the gateway that has the lease.
-- KEYS    1 event · 2 its log · 3 jobs to tell of · 4 jobs under way
-- ARGV    1 job · 2 token of the lease · 3 'acknowledged', 'failed', 'refused' for ever, or 'stopped' by the gateway itself
--         4 ms until the next attempt · 5 ms after the first for which there may be others · 6 entry of the log, as JSON · 7 entries kept
-- result  'acknowledged' | 'repeated', acknowledged before | 'retried' | 'given_up' | 'lost', another gateway's by now | 'gone'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function settle()
  local found = redis.call('HMGET', KEYS[1], 'acknowledged', 'by', 'attempts', 'limit', 'first')
  if ARGV[3] == 'acknowledged' then
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('ZREM', KEYS[4], ARGV[1])
    redis.call('HDEL', KEYS[1], 'by', 'given_up')
    if redis.call('HSETNX', KEYS[1], 'acknowledged', now) == 1 then return 'acknowledged' end
    return 'repeated'
  end
  if found[2] ~= ARGV[2] then return 'lost' end
  redis.call('ZREM', KEYS[4], ARGV[1])
  redis.call('HDEL', KEYS[1], 'by')
  if ARGV[3] == 'stopped' then
    -- It was no fault of the receiver's.
    redis.call('HINCRBY', KEYS[1], 'attempts', -1)
  elseif ARGV[3] == 'refused' or tonumber(found[3]) >= tonumber(found[4]) or now - found[5] >= tonumber(ARGV[5]) then
    redis.call('HSET', KEYS[1], 'given_up', now)
    return 'given_up'
  end
  redis.call('ZADD', KEYS[3], now + ARGV[4], ARGV[1])
  return 'retried'
end

if redis.call('HEXISTS', KEYS[1], 'body') == 0 then return 'gone' end
local outcome = settle()
redis.call('RPUSH', KEYS[2], outcome .. ' ' .. ARGV[6])
redis.call('LTRIM', KEYS[2], -ARGV[7], -1)
return outcome
