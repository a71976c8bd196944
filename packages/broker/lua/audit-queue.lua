-- Find jobs that BullMQ still queues although they have ended: they would drive scaling.
--
-- KEYS[1]  prioritized  zset
-- KEYS[2]  wait         list
-- KEYS[3]  active       list
-- ARGV[1]  slot   prefix of the slot's keys
-- ARGV[2]  queue  prefix of the queue's keys
-- ARGV[3]  from   rank of the page's first job in KEYS[1]
-- ARGV[4]  count  of jobs to look at in each list
-- ARGV[5]  grace  ms for which a job without an entry is left alone
--
-- Returns {seen, id, …}: how many prioritized jobs the page had, then the ended ones that no
-- worker holds. An entry that is gone had ended too: it is accepted before BullMQ hears of it.
-- @include clock
local slot, queue, from, count = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local oldest = tonumber(now_ms()) - ARGV[5]
local page = redis.call('ZRANGE', KEYS[1], from, from + count - 1)
local found = {#page}

local function examine(ids)
  for _, id in ipairs(ids) do
    local state = redis.call('HGET', slot .. ':job:' .. id, 'state')
    local ended = state and state ~= 'queued' and state ~= 'in_progress'
    local forgotten = not state
      and tonumber(redis.call('HGET', queue .. id, 'timestamp') or 0) < oldest
    if (ended or forgotten) and redis.call('EXISTS', queue .. id .. ':lock') == 0 then
      found[#found + 1] = id
    end
  end
end

examine(page)
examine(redis.call('LRANGE', KEYS[2], 0, count - 1))
examine(redis.call('LRANGE', KEYS[3], 0, count - 1))
return found
