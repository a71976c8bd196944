-- Tell where a queued job stands.
--
-- KEYS[1]  wait         list  BullMQ's head of the queue: jobs taken back from dead workers
-- KEYS[2]  prioritized  zset  BullMQ's queue
-- KEYS[3]  flow         hash
-- KEYS[4]  workers      zset
-- KEYS[5]  idle         string  stands while a worker with room waits for jobs
-- ARGV[1]  id
--
-- Returns {ahead, starts, span, workers, idle}: jobs that go first (-1 when it is in neither), jobs
-- started lately and within how many ms, live workers, 1 when one with room waits for jobs.
-- @include clock
-- @include flow
local now = now_ms()
local starts, span = recent_starts(KEYS[3], tonumber(now))
local workers = redis.call('ZCOUNT', KEYS[4], now, '+inf')
local idle = redis.call('EXISTS', KEYS[5])

local rank = redis.call('ZRANK', KEYS[2], ARGV[1])
if rank then return {redis.call('LLEN', KEYS[1]) + rank, starts, span, workers, idle} end

-- BullMQ takes from the tail.
local from_tail = redis.call('LPOS', KEYS[1], ARGV[1], 'RANK', -1, 'MAXLEN', 1000)
if from_tail then return {redis.call('LLEN', KEYS[1]) - 1 - from_tail, starts, span, workers, idle} end
return {-1, starts, span, workers, idle}
