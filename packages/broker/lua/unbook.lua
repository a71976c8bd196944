-- Undo the booking of a job that was never accepted.
--
-- KEYS[1]  jobs      zset
-- KEYS[2]  reserved  zset
-- KEYS[3]  record    string  the booking's Idempotency-Key; absent without one
-- ARGV[1]  id
-- ARGV[2]  booking   member of KEYS[2]
--
-- Returns 1 when there was a booking.
local record = KEYS[3] and redis.call('GET', KEYS[3])
if record and string.match(record, '%S+$') == ARGV[1] then redis.call('DEL', KEYS[3]) end
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('ZREM', KEYS[2], ARGV[2])
