#!lua flags=allow-oom
-- End an open job on its owner's word, and tell the worker that holds it.
--
-- KEYS[1]  entry     hash
-- KEYS[2]  log       stream
-- KEYS[3]  open      zset
-- KEYS[4]  deadline  zset
-- KEYS[5]  attached  zset
-- ARGV[1]  id
-- ARGV[2]  slot  prefix of the slot's keys
-- ARGV[3]  attached  '' to cancel it in any case, else only while it lives as long as this call
--
-- Returns the state the job was in, or nil when there is none, or another call's. Cancelling an ended job changes
-- nothing. The worker's message may be lost: its next append is fenced within 500 ms all the same.
-- @include end-job
-- A job that was to be gone once delivered, and whose caller has left, is delivered to nobody: it stays
-- only as long as its worker takes to say what it has cost.
local ABANDONED_MS = 10000

local job = named_job(ARGV[1], ARGV[2])
local field = redis.call('HMGET', job.entry, 'state', 'token', 'attached')
local state, worker = field[1], string.match(field[2] or '', '^[^:]+')
if state ~= 'queued' and state ~= 'in_progress' then return state end
if ARGV[3] ~= '' and field[3] ~= ARGV[3] then return nil end

end_job(job, 'cancelled', '{}', {})
if ARGV[3] ~= '' and tonumber(redis.call('HGET', job.entry, 'retention_ms')) == 0 then
  redis.call('PEXPIRE', job.entry, ABANDONED_MS)
  redis.call('PEXPIRE', job.log, ABANDONED_MS)
end
if state == 'in_progress' and worker then
  redis.call('SPUBLISH', job.slot .. ':inbox:' .. worker, 'cancel\t' .. job.id)
end
return state
