#!lua flags=allow-oom
-- Take a lease that is free, or renew one's own. Also while Redis is full: what holds leases is what
-- makes room again.
--
-- KEYS[1]  lease  string  its holder
-- ARGV[1]  holder
-- ARGV[2]  ms
--
-- Returns 1 when the holder has it now, 0 when it is another's.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
