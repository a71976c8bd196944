-- Make a job exist, once, unless it could not start by its deadline. From the reply on it is not lost.
--
-- KEYS[1]  entry        hash
-- KEYS[2]  open         zset  job id -> accepted at, ms
-- KEYS[3]  deadline     zset  job id -> latest start, ms
-- KEYS[4]  attached     zset  synchronous jobs: job id -> accepted at, ms
-- KEYS[5]  flow         hash  jobs started, by 10 s of time
-- KEYS[6]  workers      zset  worker -> lease end, ms
-- KEYS[7]  prioritized  zset  BullMQ's queue
-- KEYS[8]  versions     zset  version -> last accepted for, ms
-- KEYS[9]  idle         string  stands while a worker with room waits for jobs
-- KEYS[10] turns        hash  virtual times of that queue
-- KEYS[11] wait         list  BullMQ's head of the queue: jobs taken back from dead workers
-- KEYS[12] picky        string  stands while a worker waits for jobs that are not batch work
-- ARGV[1]  id
-- ARGV[2]  spec       JSON  what never changes: tenant, endpoint …, and the request unless it is large
-- ARGV[3]  deadline   ms from now
-- ARGV[4]  retention  ms to keep the job once it has ended
-- ARGV[5]  class      BullMQ's priority: 1, 2 or 3, lower is sooner
-- ARGV[6]  version    model version: the queue it waits in
-- ARGV[7]  ingress    who reads the answer, '' for nobody yet
-- ARGV[8]  attached   '<ingress> <call>' when the job lives only as long as that call, else ''
-- ARGV[9]  fragile    '1' when a job that has shown output must not start over
-- ARGV[10] run        which run of Redis the caller knows this to be, '' for not known: should it be
--                     another by now, the first attempt passes over some epochs, and that is all
-- ARGV[11] owner      JSON  whose it is: all that is needed of the spec once the job has ended
-- ARGV[12] cost       tokens that it will probably take of an engine
-- ARGV[13] weight     of its tenant's share
-- ARGV[14] tenant
-- ARGV[15] evidence   starts lately from which on the rate of starts is believed
-- ARGV[16] request    JSON  for the engine; '' where it is in the spec
-- ARGV[17] batch      the batch that it is a line of, else ''
--
-- Returns {state, score, accepted at, deadline, ahead, peers, starts, sooner, span, workers, idle,
-- picky}: of the job as it now stands, with its place in BullMQ's set and its instants as text, ms;
-- jobs that go first, and how many of them are of its class; jobs started lately, how many of them of
-- classes before its own, and within how many ms; live workers, 1 when one with room waits for jobs,
-- 1 when one is to be told of a job that is no batch work.
-- Accepting twice changes nothing and says the same. A job that could not start in time at the rate
-- of late is not made, and leaves nothing behind: its state is 'refused', and the rest what it would
-- have been. Without a live worker, or while one waits for jobs, nothing is refused.
-- @include clock
-- @include flow
-- @include turn
local entry, id = KEYS[1], ARGV[1]
local known = redis.call('HMGET', entry, 'state', 'turn', 'accepted_at', 'deadline_at')
local now = now_ms()
local workers = redis.call('ZCOUNT', KEYS[6], now, '+inf')
local idle = redis.call('EXISTS', KEYS[9])
local picky = tonumber(ARGV[5]) < BATCH and redis.call('EXISTS', KEYS[12]) or 0

-- Where a job of this turn stands, with the counts in the order of the reply.
local function stand(turn)
  local score = score_of(turn.class, turn.start)
  local ahead, peers = count_ahead(KEYS[7], KEYS[11], turn.class, score)
  local starts, sooner, span = recent_starts(KEYS[5], tonumber(now), turn.class)
  return {score = score, ahead = ahead, peers = peers, starts = starts, sooner = sooner, span = span}
end

local function reply(state, standing, accepted_at, deadline_at)
  return {state, standing.score, accepted_at, deadline_at, standing.ahead, standing.peers,
    standing.starts, standing.sooner, standing.span, workers, idle, picky}
end

-- Whether even the faster of two ways is too slow: behind all that goes first, of what is left beside
-- the classes before it; or behind its own class, at the least share that this is granted.
local function is_late(standing, class)
  if idle == 1 or picky == 1 or workers == 0 or standing.starts < tonumber(ARGV[15]) then return false end
  local starts_in_time = standing.starts * ARGV[3] / standing.span
  local behind_others = starts_in_time * (1 - standing.sooner / standing.starts)
  local by_its_share = starts_in_time * (SHARE[class] or 1)
  return standing.ahead + 1 > behind_others and standing.peers + 1 > by_its_share
end

if not known[1] then
  local deadline_at = string.format('%.0f', now + ARGV[3])
  local turn, late = take_turn(KEYS[10], KEYS[7], {
    class = tonumber(ARGV[5]), tenant = ARGV[14], cost = tonumber(ARGV[12]), weight = tonumber(ARGV[13]),
    now = now,
  })
  local given = read_turn(turn)
  local standing = stand(given)
  if is_late(standing, given.class) then
    return_turn(KEYS[10], given, now)
    return reply('refused', standing, now, deadline_at)
  end
  redis.call('HSET', entry, 'state', 'queued', 'accepted_at', now, 'turn', turn,
    'retention_ms', ARGV[4], 'deadline_at', deadline_at,
    'version', ARGV[6], 'spec', ARGV[2], 'run', ARGV[10], 'owner', ARGV[11])
  if ARGV[16] ~= '' then redis.call('HSET', entry, 'request', ARGV[16]) end
  if late ~= '0' then redis.call('HSET', entry, 'late', late) end
  if ARGV[17] ~= '' then redis.call('HSET', entry, 'batch', ARGV[17]) end
  if ARGV[7] ~= '' then redis.call('HSET', entry, 'watchers', ARGV[7]) end
  if ARGV[8] ~= '' then
    redis.call('HSET', entry, 'attached', ARGV[8])
    redis.call('ZADD', KEYS[4], now, id)
  end
  if ARGV[9] == '1' then redis.call('HSET', entry, 'fragile', 1) end
  redis.call('ZADD', KEYS[8], now, ARGV[6])
  redis.call('ZADD', KEYS[2], now, id)
  redis.call('ZADD', KEYS[3], now + ARGV[3], id)
  known = {'queued', turn, now, deadline_at}
end

return reply(known[1], stand(read_turn(known[2])), known[3], known[4])
