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
-- ARGV[1]  id
-- ARGV[2]  spec       JSON  what never changes: request, tenant, endpoint …
-- ARGV[3]  deadline   ms from now
-- ARGV[4]  retention  ms to keep the job once it has ended
-- ARGV[5]  priority   BullMQ's number, lower is sooner
-- ARGV[6]  version    model version: the queue it waits in
-- ARGV[7]  ingress    who reads the answer, '' for nobody yet
-- ARGV[8]  attached   '1' when the job lives only as long as that ingress
-- ARGV[9]  fragile    '1' when a job that has shown output must not start over
-- ARGV[10] run        which run of Redis the caller knows this to be, '' for not known: should it be
--                     another by now, the first attempt passes over some epochs, and that is all
-- ARGV[11] owner      JSON  whose it is: all that is needed of the spec once the job has ended
--
-- Returns {state, priority, accepted at, deadline, ahead, starts, span, workers, idle}: of the job as
-- it now stands, with its instants as text, ms; jobs that go first, jobs started lately and within
-- how many ms, live workers, 1 when one with room waits for jobs. Accepting twice changes nothing and
-- says the same.
-- @include clock
-- @include flow
local entry, id = KEYS[1], ARGV[1]
local priority = tonumber(ARGV[5])
local known = redis.call('HMGET', entry, 'state', 'priority', 'accepted_at', 'deadline_at')
local now = now_ms()

if not known[1] then
  local deadline_at = string.format('%.0f', now + ARGV[3])
  redis.call('HSET', entry, 'state', 'queued', 'accepted_at', now, 'priority', priority,
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
  known = {'queued', priority, now, deadline_at}
end

-- BullMQ scores a job priority * 2^32 + counter.
local ahead = redis.call('ZCOUNT', KEYS[7], '-inf', '(' .. string.format('%.0f', (priority + 1) * 4294967296))
local workers = redis.call('ZCOUNT', KEYS[6], now, '+inf')
local starts, span = recent_starts(KEYS[5], tonumber(now))
local idle = redis.call('EXISTS', KEYS[9])
return {known[1], tonumber(known[2]), known[3], known[4], ahead, starts, span, workers, idle}
