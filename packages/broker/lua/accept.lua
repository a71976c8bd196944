-- Make a job exist, once. From the reply on it is not lost.
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
-- ARGV[1]  id
-- ARGV[2]  spec       JSON  what never changes: request, tenant, endpoint …
-- ARGV[3]  deadline   ms from now
-- ARGV[4]  retention  ms to keep the job once it has ended
-- ARGV[5]  class      BullMQ's priority: 1, 2 or 3, lower is sooner
-- ARGV[6]  version    model version: the queue it waits in
-- ARGV[7]  ingress    who reads the answer, '' for nobody yet
-- ARGV[8]  attached   '1' when the job lives only as long as that ingress
-- ARGV[9]  fragile    '1' when a job that has shown output must not start over
-- ARGV[10] run        which run of Redis the caller knows this to be, '' for not known: should it be
--                     another by now, the first attempt passes over some epochs, and that is all
-- ARGV[11] owner      JSON  whose it is: all that is needed of the spec once the job has ended
-- ARGV[12] cost       tokens that it will probably take of an engine
-- ARGV[13] weight     of its tenant's share
-- ARGV[14] tenant
--
-- Returns {state, score, accepted at, deadline, ahead, peers, starts, sooner, span, workers, idle}: of
-- the job as it now stands, with its place in BullMQ's set and its instants as text, ms; jobs that go
-- first, and how many of them are of its class; jobs started lately, how many of them of classes
-- before its own, and within how many ms; live workers, 1 when one with room waits for jobs.
-- Accepting twice changes nothing and says the same.
-- @include clock
-- @include flow
-- @include turn
local entry, id = KEYS[1], ARGV[1]
local known = redis.call('HMGET', entry, 'state', 'turn', 'accepted_at', 'deadline_at')
local now = now_ms()

if not known[1] then
  local deadline_at = string.format('%.0f', now + ARGV[3])
  local turn = take_turn(KEYS[10], KEYS[7], {
    class = tonumber(ARGV[5]), tenant = ARGV[14], cost = tonumber(ARGV[12]), weight = tonumber(ARGV[13]),
    now = now,
  })
  redis.call('HSET', entry, 'state', 'queued', 'accepted_at', now, 'turn', turn,
    'retention_ms', ARGV[4], 'deadline_at', deadline_at,
    'version', ARGV[6], 'spec', ARGV[2], 'run', ARGV[10], 'owner', ARGV[11])
  if ARGV[7] ~= '' then redis.call('HSET', entry, 'watchers', ARGV[7]) end
  if ARGV[8] == '1' then
    redis.call('HSET', entry, 'attached', ARGV[7])
    redis.call('ZADD', KEYS[4], now, id)
  end
  if ARGV[9] == '1' then redis.call('HSET', entry, 'fragile', 1) end
  redis.call('ZADD', KEYS[8], now, ARGV[6])
  redis.call('ZADD', KEYS[2], now, id)
  redis.call('ZADD', KEYS[3], now + ARGV[3], id)
  known = {'queued', turn, now, deadline_at}
end

local turn = read_turn(known[2])
local score = score_of(turn.class, turn.start)
local ahead, peers = count_ahead(KEYS[7], KEYS[11], turn.class, score)
local workers = redis.call('ZCOUNT', KEYS[6], now, '+inf')
local starts, sooner, span = recent_starts(KEYS[5], tonumber(now), turn.class)
local idle = redis.call('EXISTS', KEYS[9])
return {known[1], score, known[3], known[4], ahead, peers, starts, sooner, span, workers, idle}
