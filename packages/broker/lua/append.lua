-- Append output of many jobs of one slot, and renew the claim of those that have none.
--
-- KEYS       entry, log of each job in turn
-- ARGV[1]    slot  prefix of the slot's keys
-- ARGV[2..]  per job: epoch, index of the first item, item count, then type and data of each
--
-- Returns one code per job: 0 appended (repeated items are skipped, so resending is harmless),
-- -1 fenced (the job ended or another attempt holds it), -2 gap (items before these are missing:
-- Redis lost them), -3 gone (no such job).
--
-- The hottest script: numbers stay the text they came as where they can, since Redis prints a Lua
-- number with seventeen digits each time.
-- @include clock
-- @include deliver
local call = redis.call
local slot = ARGV[1]
-- Where the id begins in the key of an entry.
local id_at = #slot + #':job:' + 1
local codes, outgoing = {}, {}

-- Put a line with those for each ingress in the comma-separated list `watchers`: mostly one.
local function send(watchers, line)
  if string.find(watchers, ',', 1, true) then
    for ingress in string.gmatch(watchers, '[^,]+') do send(ingress, line) end
    return
  end
  local batch = outgoing[watchers]
  if batch then batch[#batch + 1] = line else outgoing[watchers] = {line} end
end

local function append(entry, log, at)
  local epoch, first, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local field = call('HMGET', entry, 'state', 'epoch', 'next', 'watchers')
  if not field[1] then return -3 end
  if field[1] ~= 'in_progress' or field[2] ~= epoch then return -1 end
  local index, expected, watchers = tonumber(first), tonumber(field[3]), field[4]
  if index > expected then return -2 end
  local known = expected - index
  if known >= count then return 0 end

  local id = watchers and string.sub(entry, id_at)
  for item = known, count - 1 do
    local cursor = epoch .. '-' .. (item == 0 and first or index + item)
    local type, data = ARGV[at + 3 + item * 2], ARGV[at + 4 + item * 2]
    call('XADD', log, cursor, type, data)
    if watchers then send(watchers, inbox_line(id, cursor, type, data)) end
  end
  call('HINCRBY', entry, 'next', known == 0 and ARGV[at + 2] or count - known)
  if expected == 1 then call('HSET', entry, 'first_token_at', now_ms()) end
  return 0
end

local at = 2
for job = 1, #KEYS, 2 do
  codes[#codes + 1] = append(KEYS[job], KEYS[job + 1], at)
  at = at + 3 + tonumber(ARGV[at + 2]) * 2
end
for ingress, lines in pairs(outgoing) do
  deliver(slot, ingress, table.concat(lines, '\n'))
end
return codes
