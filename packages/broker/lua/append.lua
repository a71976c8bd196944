#!lua flags=allow-oom
-- Append output of many jobs of one slot, and renew the claim of those that have none.
--
-- KEYS       entry, log of each job in turn
-- ARGV[1]    slot  prefix of the slot's keys
-- ARGV[2..]  per job: epoch, token of the claim, index of the first item, item count, then type and
--            data of each. With a count below 0, -n, n items that have token ids besides: type, data
--            and ids of each; those of a job's first item may begin with '<ids of the prompt>;'
--
-- Returns one code per job: 0 appended (repeated items are skipped, so resending is harmless),
-- -1 fenced (the job ended or another claim holds it), -2 gap (items before these are missing:
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

-- Keep what a job's first ids say of its prompt until the job ends, and return the others.
local function keep_prompt(entry, ids)
  local prompt, rest = string.match(ids, '^([%d,]+);(.*)$')
  if not prompt then return ids end
  call('HSET', entry, 'prompt_ids', prompt)
  return rest
end

local function append(entry, log, at, count, width)
  local epoch, token, first = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local field = call('HMGET', entry, 'token', 'epoch', 'next', 'watchers')
  -- Only a job in progress has a token. The epoch alone would let a claim that Redis has forgotten
  -- write beside the one that was given the same epoch after it.
  if field[1] ~= token or field[2] ~= epoch then return call('EXISTS', entry) == 1 and -1 or -3 end
  local index, expected, watchers = tonumber(first), tonumber(field[3]), field[4]
  if index > expected then return -2 end
  local known = expected - index
  if known >= count then return 0 end

  local id = watchers and string.sub(entry, id_at)
  for item = known, count - 1 do
    local cursor = epoch .. '-' .. (item == 0 and first or index + item)
    local place = at + 4 + item * width
    local type, data = ARGV[place], ARGV[place + 1]
    if width == 2 then
      call('XADD', log, cursor, type, data)
    else
      local ids = ARGV[place + 2]
      if expected == 1 and item == 0 then ids = keep_prompt(entry, ids) end
      -- Beside the data, so that no reader is ever sent them.
      call('XADD', log, cursor, type, data, 'ids', ids)
    end
    if watchers then send(watchers, inbox_line(id, cursor, type, data)) end
  end
  call('HINCRBY', entry, 'next', known == 0 and width == 2 and ARGV[at + 3] or count - known)
  if expected == 1 then call('HSET', entry, 'first_token_at', now_ms()) end
  return 0
end

local at = 2
for job = 1, #KEYS, 2 do
  local count, width = tonumber(ARGV[at + 3]), 2
  if count < 0 then count, width = -count, 3 end
  codes[#codes + 1] = append(KEYS[job], KEYS[job + 1], at, count, width)
  at = at + 4 + count * width
end
for ingress, lines in pairs(outgoing) do
  deliver(slot, ingress, table.concat(lines, '\n'))
end
return codes
