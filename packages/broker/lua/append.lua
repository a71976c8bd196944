-- Append output of many jobs of one slot, and renew the claim of those that have none.
--
-- KEYS       entry, log of each job in turn
-- ARGV[1]    slot  prefix of the slot's keys
-- ARGV[2..]  per job: id, epoch, index of the first item, item count, then type and data of each
--
-- Returns one code per job: 0 appended (repeated items are skipped, so resending is harmless),
-- -1 fenced (the job ended or another attempt holds it), -2 gap (items before these are missing:
-- Redis lost them), -3 gone (no such job).
-- @include clock
-- @include deliver
local slot = ARGV[1]
local now = now_ms()
local codes, outgoing = {}, {}

local function append(job, at)
  local entry, log = KEYS[job * 2 - 1], KEYS[job * 2]
  local id, epoch, index, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local field = redis.call('HMGET', entry, 'state', 'epoch', 'next', 'watchers', 'first_token_at')
  local expected = tonumber(field[3] or 1)
  if not field[1] then return -3 end
  if field[1] ~= 'in_progress' or field[2] ~= epoch then return -1 end
  if index > expected then return -2 end
  if index + count <= expected then return 0 end

  local lines = {}
  for item = expected - index, count - 1 do
    local cursor = string.format('%s-%.0f', epoch, index + item)
    local type, data = ARGV[at + 4 + item * 2], ARGV[at + 5 + item * 2]
    redis.call('XADD', log, cursor, type, data)
    lines[#lines + 1] = inbox_line(id, cursor, type, data)
  end
  redis.call('HSET', entry, 'next', index + count)
  if not field[5] then redis.call('HSET', entry, 'first_token_at', now) end
  if field[4] then
    for ingress in string.gmatch(field[4], '[^,]+') do
      local batch = outgoing[ingress] or {}
      outgoing[ingress] = batch
      for _, line in ipairs(lines) do batch[#batch + 1] = line end
    end
  end
  return 0
end

local at = 2
for job = 1, #KEYS / 2 do
  codes[job] = append(job, at)
  at = at + 4 + tonumber(ARGV[at + 3]) * 2
end
for ingress, lines in pairs(outgoing) do
  deliver(slot, ingress, table.concat(lines, '\n'))
end
return codes
