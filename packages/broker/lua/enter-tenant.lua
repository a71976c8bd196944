-- Enter a tenant whose slot is about to hold something that the sweep may have to mend.
--
-- KEYS[1]  booked  zset  tenant -> entered last, ms
-- ARGV     tenant
--
-- Returns 1.
-- @include clock
redis.call('ZADD', KEYS[1], now_ms(), ARGV[1])
return 1
