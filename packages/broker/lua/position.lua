-- Tell where a queued job stands.
--
-- KEYS[1]  wait         list  BullMQ's head of the queue: jobs taken back from dead workers
-- KEYS[2]  prioritized  zset  BullMQ's queue
-- KEYS[3]  flow         hash
-- KEYS[4]  workers      zset
-- KEYS[5]  idle         string  stands while a worker with room waits for jobs
-- ARGV[1]  id
-- ARGV[2]  class  BullMQ's priority of the job
--
-- Returns {ahead, peers, starts, sooner, span, workers, idle}: jobs that go first (-1 when it is in
-- neither), and how many of them are of its class; jobs started lately, how many of them of classes
-- before its own, and within how many ms; live workers, 1 when one with room waits for jobs.
-- @include clock
-- @include flow
-- @include turn
local now, class = now_ms(), tonumber(ARGV[2])
local starts, sooner, span = recent_starts(KEYS[3], tonumber(now), class)
local workers = redis.call('ZCOUNT', KEYS[4], now, '+inf')
local idle = redis.call('EXISTS', KEYS[5])

local function standing(ahead, peers)
  return {ahead, peers, starts, sooner, span, workers, idle}
end

local rank = redis.call('ZRANK', KEYS[2], ARGV[1])
if rank then
  local sooner_waiting = redis.call('ZCOUNT', KEYS[2], '-inf', '(' .. class * BAND)
  return standing(redis.call('LLEN', KEYS[1]) + rank, math.max(rank - sooner_waiting, 0))
end

-- BullMQ takes from the tail.
local from_tail = redis.call('LPOS', KEYS[1], ARGV[1], 'RANK', -1, 'MAXLEN', 1000)
if from_tail then return standing(redis.call('LLEN', KEYS[1]) - 1 - from_tail, 0) end
return standing(-1, 0)
