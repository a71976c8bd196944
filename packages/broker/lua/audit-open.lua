-- Find open jobs of a page that BullMQ does not have, so that nobody would ever run them.
--
-- KEYS[1]  open   zset  job id -> accepted at, ms
-- ARGV[1]  slot   prefix of the slot's keys
-- ARGV[2]  from   rank of the page's first job
-- ARGV[3]  count  of jobs in the page
-- ARGV[4]  grace  ms a job may be accepted and not yet added
--
-- Returns {seen, id, version, priority, id, …}: how many jobs the page had, then the missing
-- ones. A job whose lock lives is a worker's, whatever the lists say.
-- @include clock
local slot, from, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local oldest = tonumber(now_ms()) - ARGV[4]
local page = redis.call('ZRANGE', KEYS[1], from, from + count - 1, 'WITHSCORES')
local found = {#page / 2}

local function is_known(id, version)
  local queue = slot .. ':q:' .. version .. ':'
  if redis.call('EXISTS', queue .. id .. ':lock') == 1 then return true end
  if redis.call('EXISTS', queue .. id) == 0 then return false end
  return redis.call('ZSCORE', queue .. 'prioritized', id)
    or redis.call('LPOS', queue .. 'active', id)
    or redis.call('LPOS', queue .. 'wait', id)
end

for i = 1, #page, 2 do
  local id = page[i]
  local field = redis.call('HMGET', slot .. ':job:' .. id, 'state', 'version', 'priority')
  if not field[1] then
    redis.call('ZREM', KEYS[1], id)
  elseif tonumber(page[i + 1]) < oldest and not is_known(id, field[2]) then
    found[#found + 1] = id
    found[#found + 1] = field[2]
    found[#found + 1] = field[3]
  end
end
return found
