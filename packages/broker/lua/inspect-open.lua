-- Look through a page of open jobs for those that nobody works on, and change nothing.
--
-- KEYS[1]  open   zset  job id -> accepted at, ms
-- ARGV[1]  slot   prefix of the slot's keys
-- ARGV[2]  from   rank of the page's first job
-- ARGV[3]  count  of jobs in the page
-- ARGV[4]  grace  ms a job may be accepted and not yet added, or claimed and not yet locked anew
--
-- Returns {seen, kind, name, detail, …}: how many jobs the page had, then in threes
--   waits     version  how many of the page wait in this version's queue
--   unheld    id       version: in progress, and no worker holds it
--   unqueued  id       version: queued, and BullMQ does not have it
--   missing   id       '': listed as open, and has no entry
-- @include clock
local slot, from, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local oldest = tonumber(now_ms()) - ARGV[4]
local page = redis.call('ZRANGE', KEYS[1], from, from + count - 1, 'WITHSCORES')
local found, waits = {#page / 2}, {}

local function add(kind, name, detail)
  found[#found + 1] = kind
  found[#found + 1] = name
  found[#found + 1] = detail
end

local function is_queued(id, queue)
  return redis.call('ZSCORE', queue .. 'prioritized', id)
    or redis.call('LPOS', queue .. 'active', id)
    or redis.call('LPOS', queue .. 'wait', id)
end

for i = 1, #page, 2 do
  local id, accepted_at = page[i], tonumber(page[i + 1])
  local field = redis.call('HMGET', slot .. ':job:' .. id, 'state', 'version', 'claimed_at')
  local state, version = field[1], field[2]
  local queue = slot .. ':q:' .. (version or '') .. ':'
  local is_locked = redis.call('EXISTS', queue .. id .. ':lock') == 1
  if not state then
    add('missing', id, '')
  elseif state == 'in_progress' then
    if not is_locked and tonumber(field[3] or 0) < oldest then add('unheld', id, version) end
  else
    waits[version] = (waits[version] or 0) + 1
    if accepted_at < oldest and not is_locked and not is_queued(id, queue) then
      add('unqueued', id, version)
    end
  end
end
for version, waiting in pairs(waits) do add('waits', version, tostring(waiting)) end
return found
