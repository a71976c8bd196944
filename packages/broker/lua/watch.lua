-- Have copies of a job's new log entries sent to an ingress.
--
-- KEYS[1]  entry    hash
-- ARGV[1]  ingress
-- ARGV[2]  limit    most ingresses that watch one job; the longest-watching makes room
--
-- Returns the job's state, or nil when there is none. Readers of an ingress that made room poll.
local field = redis.call('HMGET', KEYS[1], 'state', 'watchers')
local state, watchers = field[1], field[2] or ''
if state ~= 'queued' and state ~= 'in_progress' then return state end

local kept = {}
for ingress in string.gmatch(watchers, '[^,]+') do
  if ingress == ARGV[1] then return state end
  kept[#kept + 1] = ingress
end
if #kept >= tonumber(ARGV[2]) then table.remove(kept, 1) end
kept[#kept + 1] = ARGV[1]
redis.call('HSET', KEYS[1], 'watchers', table.concat(kept, ','))
return state
