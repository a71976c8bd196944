#!lua flags=allow-oom
-- Look which of a tenant's keys have open jobs, and forget those that have none: the next job of one
-- enters it again.
--
-- KEYS[1]  holders  set   key ids
-- KEYS[2]  owed     hash  key id -> tokens reserved for open jobs
-- ARGV[1]  tenant   prefix of the tenant's keys
-- ARGV[2]  cursor   where the last look stopped, '0' to begin
-- ARGV[3]  count    of keys to look at, about
--
-- Returns {cursor, key id, kind, key id, kind, …}: cursor '0' when all were seen; each kind of which
-- a key has holds.
local page = redis.call('SSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
local found = {page[1]}
for _, key in ipairs(page[2]) do
  local is_idle = true
  for _, kind in ipairs({'later', 'now', 'line'}) do
    if redis.call('EXISTS', ARGV[1] .. ':held:' .. key .. ':' .. kind) == 1 then
      is_idle = false
      found[#found + 1] = key
      found[#found + 1] = kind
    end
  end
  if is_idle then
    redis.call('SREM', KEYS[1], key)
    if redis.call('HGET', KEYS[2], key) == '0' then redis.call('HDEL', KEYS[2], key) end
  end
end
return found
