-- Count the jobs that wait in a queue, and take down BullMQ's marker when there are none.
--
-- KEYS[1]  wait         list
-- KEYS[2]  prioritized  zset
-- KEYS[3]  marker       zset  member '0' stands while there may be jobs: idle workers wait for it
-- KEYS[4]  idle         string  stands while a worker with room waits for jobs
-- ARGV[1]  room         '1' when the worker has room for another job
-- ARGV[2]  wait         ms      how long the worker will wait before it asks again, and a little
--
-- Returns how many wait. BullMQ puts the marker up again whenever a job is taken, so that a worker
-- which took the last one would wake at once, and find nothing.
local count = redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2])
if count == 0 then redis.call('ZREM', KEYS[3], '0') end
if count > 0 then
  redis.call('DEL', KEYS[4])
elseif ARGV[1] == '1' then
  redis.call('SET', KEYS[4], '1', 'PX', ARGV[2])
end
return count
