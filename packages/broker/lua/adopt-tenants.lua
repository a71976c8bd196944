#!lua flags=allow-oom
-- Take over tenants that ingresses of an earlier version have entered: they know only the set.
--
-- KEYS[1]  booked  zset  tenant -> entered last, ms
-- KEYS[2]  earlier set   tenants
-- ARGV[1]  most at once
--
-- Returns how many.
-- @include clock
local tenants, now = redis.call('SPOP', KEYS[2], ARGV[1]), now_ms()
for _, tenant in ipairs(tenants) do redis.call('ZADD', KEYS[1], now, tenant) end
return #tenants
