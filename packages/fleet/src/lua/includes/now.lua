-- now: milliseconds by the clock of Redis, the only one that all gateways and workers share.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
