-- A late repeat of a charge finds what was booked for so long after the last one; totals are kept for so many days.
local CHARGED_TTL_S, USAGE_DAYS, DAY_S = 172800, 400, 86400

-- Books audio of one session. `accepted` counts from its start, so what was booked before is not booked again.
-- Returns the samples of the tenant on that day.
local function book(charged, usage, day, key_id, accepted)
  local before = redis.call('HMGET', charged, 'samples', 'day')
  local samples = accepted - tonumber(before[1] or 0)
  if samples <= 0 then
    redis.call('EXPIRE', charged, CHARGED_TTL_S)
    return tonumber(redis.call('HGET', usage, 'samples') or 0)
  end
  redis.call('HSET', charged, 'samples', accepted, 'day', day)
  redis.call('EXPIRE', charged, CHARGED_TTL_S)
  redis.call('HINCRBY', usage, 'samples:' .. key_id, samples)
  if tonumber(before[2] or -1) < day then redis.call('HINCRBY', usage, 'sessions:' .. key_id, 1) end
  local total = redis.call('HINCRBY', usage, 'samples', samples)
  if total == samples then redis.call('EXPIREAT', usage, (day + 1 + USAGE_DAYS) * DAY_S) end
  return total
end
