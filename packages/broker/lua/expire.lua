#!lua flags=allow-oom
-- End a job that has not started by its deadline.
--
-- KEYS[1]  entry     hash
-- KEYS[2]  log       stream
-- KEYS[3]  open      zset
-- KEYS[4]  deadline  zset
-- KEYS[5]  attached  zset
-- ARGV[1]  id
-- ARGV[2]  slot  prefix of the slot's keys
--
-- Returns 1 when it expired, 0 when it had started, ended, or still has time.
-- @include end-job
local job = named_job(ARGV[1], ARGV[2])
local field = redis.call('HMGET', job.entry, 'state', 'first_claimed_at', 'deadline_at')

if not field[1] then
  redis.call('ZREM', job.deadline, job.id)
  return 0
end
if field[1] ~= 'queued' or field[2] then return 0 end
if tonumber(field[3]) > tonumber(now_ms()) then return 0 end
end_job(job, 'expired', '{"error":"deadline_exceeded"}', {})
return 1
