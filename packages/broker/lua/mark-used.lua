#!lua flags=allow-oom
-- Note that keys were used lately.
--
-- KEYS[1]  keys  hash  id -> JSON
-- KEYS[2]  used  hash  id -> last used at, ms
-- ARGV     ids
--
-- Returns how many of them there are (still).
-- @include clock
local now, count = now_ms(), 0
for _, id in ipairs(ARGV) do
  if redis.call('HEXISTS', KEYS[1], id) == 1 then
    redis.call('HSET', KEYS[2], id, now)
    count = count + 1
  end
end
return count
