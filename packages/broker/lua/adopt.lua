-- Have a synchronous job live as long as another call, which asks for the same: its caller has come
-- back, and the call that it came with first may be about to cancel the job for want of one.
--
-- KEYS[1]  entry  hash
-- ARGV[1]  attached  the call that it lives as long as from now on
--
-- Returns the job's state, or nil when there is none. One that has ended stays as it is.
local field = redis.call('HMGET', KEYS[1], 'state', 'attached')
if field[2] then redis.call('HSET', KEYS[1], 'attached', ARGV[1]) end
return field[1]
