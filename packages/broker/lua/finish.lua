#!lua flags=allow-oom
-- End a job as the worker that holds it found it, with the last of its output.
--
-- KEYS[1]  entry     hash
-- KEYS[2]  log       stream
-- KEYS[3]  open      zset
-- KEYS[4]  deadline  zset
-- KEYS[5]  attached  zset
-- ARGV[1]  id
-- ARGV[2]  slot     prefix of the slot's keys
-- ARGV[3]  epoch
-- ARGV[4]  token    of the claim
-- ARGV[5]  index    of the first of the last items, or of the end itself
-- ARGV[6]  status   completed | failed
-- ARGV[7]  outcome  JSON
-- ARGV[8..]         type and data of each of the last items
--
-- Returns 1 when ended, 0 when this attempt had ended it already (a resent call), -1 fenced,
-- -2 gap, -3 gone: codes as in append.
-- @include end-job
local job = named_job(ARGV[1], ARGV[2])
local epoch, token, index, status = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local field = redis.call('HMGET', job.entry, 'state', 'epoch', 'next', 'token')
local state, expected = field[1], tonumber(field[3] or 1)

if not state then return -3 end
if state == status and field[2] == epoch then return 0 end
if state ~= 'in_progress' or field[2] ~= epoch or field[4] ~= token then return -1 end
if index > expected then return -2 end

local entries = {}
for item = 0, (#ARGV - 7) / 2 - 1 do
  if index + item >= expected then
    entries[#entries + 1] = string.format('%.0f', index + item)
    entries[#entries + 1] = ARGV[8 + item * 2]
    entries[#entries + 1] = ARGV[9 + item * 2]
  end
end
end_job(job, status, ARGV[7], entries)
return 1
