-- Change a field of a hash, unless somebody else did.
--
-- KEYS[1]  hash
-- ARGV[1]  field
-- ARGV[2]  string  what was read; '' = there was none
-- ARGV[3]  string  what it is to be; '' = none
-- ARGV[4]  most    fields that the hash may come to have; 0 = any number
--
-- Returns 1 when it was changed, 0 when it had been already, -1 when there are too many.
local now = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if now ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 1
end
local most = tonumber(ARGV[4])
if now == '' and most > 0 and redis.call('HLEN', KEYS[1]) >= most then return -1 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
