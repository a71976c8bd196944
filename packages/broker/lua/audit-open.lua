-- Find open jobs of a page that BullMQ does not have, so that nobody would ever run them.
--
-- KEYS[1]  open   zset  job id -> accepted at, ms
-- ARGV[1]  slot   prefix of the slot's keys
-- ARGV[2]  from   rank of the page's first job
-- ARGV[3]  count  of jobs in the page
-- ARGV[4]  grace  ms a job may be accepted and not yet added
--
-- Returns {seen, id, version, class, score, id, …}: how many jobs the page had, then the missing ones,
-- each with its place in BullMQ's set. A job whose lock lives is a worker's, whatever the lists say.
-- One that BullMQ has where it put it itself, since the step after the add never came, is put in its
-- place.
-- @include clock
-- @include turn
local slot, from, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local oldest = tonumber(now_ms()) - ARGV[4]
local page = redis.call('ZRANGE', KEYS[1], from, from + count - 1, 'WITHSCORES')
local found = {#page / 2}

-- What is older than its queue's virtual time has waited its turn: it goes first of its class, as does
-- what BullMQ has put back.
local function place_of(turn, accepted_at, version)
  local began = tonumber(redis.call('HGET', slot .. ':turns:' .. version, 'began') or 0)
  if accepted_at < began then return score_of(turn.class, 0) end
  return score_of(turn.class, turn.start)
end

local function put_in_place(id, queue, score, place)
  if score == place then return end
  local class = math.floor(place / BAND)
  if score > class * BAND then redis.call('ZADD', queue .. 'prioritized', 'XX', place, id) end
end

local function is_known(id, version, place)
  local queue = slot .. ':q:' .. version .. ':'
  if redis.call('EXISTS', queue .. id .. ':lock') == 1 then return true end
  if redis.call('EXISTS', queue .. id) == 0 then return false end
  local score = redis.call('ZSCORE', queue .. 'prioritized', id)
  if score then put_in_place(id, queue, tonumber(score), tonumber(place)) end
  return score
    or redis.call('LPOS', queue .. 'active', id)
    or redis.call('LPOS', queue .. 'wait', id)
end

for i = 1, #page, 2 do
  local id, accepted_at = page[i], tonumber(page[i + 1])
  local field = redis.call('HMGET', slot .. ':job:' .. id, 'state', 'version', 'turn')
  if not field[1] then
    redis.call('ZREM', KEYS[1], id)
  elseif accepted_at < oldest then
    local turn = read_turn(field[3])
    local place = place_of(turn, accepted_at, field[2])
    if not is_known(id, field[2], place) then
      for _, value in ipairs({id, field[2], turn.class, place}) do found[#found + 1] = value end
    end
  end
end
return found
