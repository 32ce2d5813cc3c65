-- The fleet's keys, in the order of scriptKeys() in keys.ts. Every script declares all of them.
local FREE, BEATS, WORKERS, USED, LEASES, DATA, EPOCH, TENANTS, RATES, FLOW, TICKETS, TICKET_ENDS, QUEUE, SEATS, LINES, IDLE, GIVEN_UP, WANTED, POOL_LEASES, ROOM, GRANTS = unpack(KEYS)
