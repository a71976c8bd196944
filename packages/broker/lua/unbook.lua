-- Undo the booking of a job that was never accepted.
--
-- KEYS[1]  jobs      zset
-- KEYS[2]  reserved  zset
-- KEYS[3]  stored    hash    what the tenant's jobs take
-- KEYS[4]  record    string  the booking's Idempotency-Key; absent without one
-- ARGV[1]  id
-- ARGV[2]  booking   member of KEYS[2]
--
-- Returns 1 when there was a booking.
-- @include stored
local record = KEYS[4] and redis.call('GET', KEYS[4])
if record and string.match(record, '%S+$') == ARGV[1] then redis.call('DEL', KEYS[4]) end
strike(KEYS[1], KEYS[3], {ARGV[1]})
return redis.call('ZREM', KEYS[2], ARGV[2])
