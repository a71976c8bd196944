-- Count the jobs that wait in a queue, and take down BullMQ's marker when there are none.
--
-- KEYS[1]  wait         list
-- KEYS[2]  prioritized  zset
-- KEYS[3]  marker       zset  member '0' stands while there may be jobs: idle workers wait for it
-- KEYS[4]  idle         string  stands while a worker with room waits for jobs
-- KEYS[5]  picky        string  stands while a worker waits for jobs that are not batch work
-- ARGV[1]  room         of the worker: 'any', 'others' where it has none for batch work, or 'none'
-- ARGV[2]  wait         ms      how long the worker will wait before it asks again, and a little
--
-- Returns {others, batch}: how many wait of either kind. What BullMQ took back from dead workers, or
-- what goes first of its class, is taken for no batch work. BullMQ puts the marker up again whenever
-- a job is taken, so that a worker which took the last one would wake at once, and find nothing.
-- @include turn
local batch = redis.call('ZCOUNT', KEYS[2], BATCH * BAND, '+inf')
local others = redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2]) - batch
if ARGV[1] == 'others' then redis.call('SET', KEYS[5], '1', 'PX', ARGV[2]) end
if others + batch == 0 then redis.call('ZREM', KEYS[3], '0') end
if others + batch > 0 then
  redis.call('DEL', KEYS[4])
elseif ARGV[1] == 'any' then
  redis.call('SET', KEYS[4], '1', 'PX', ARGV[2])
end
return {others, batch}
