#!lua flags=allow-oom
-- Let tenants leave whose slots held nothing, unless they were entered since: what they were entered
-- for may have come after the look.
--
-- KEYS[1]  booked  zset  tenant -> entered last, ms
-- ARGV[1]  patience  ms after which nothing comes of an entry that has not come
-- ARGV[2..] tenants
--
-- Returns how many left.
-- @include clock
local before, left = now_ms() - ARGV[1], 0
for i = 2, #ARGV do
  local entered_at = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if entered_at and tonumber(entered_at) < before then left = left + redis.call('ZREM', KEYS[1], ARGV[i]) end
end
return left
