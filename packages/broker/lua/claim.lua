#!lua flags=allow-oom
-- Open a new attempt at a job that BullMQ has handed to this worker.
--
-- KEYS[1]  entry     hash
-- KEYS[2]  log       stream
-- KEYS[3]  open      zset
-- KEYS[4]  deadline  zset
-- KEYS[5]  attached  zset
-- KEYS[6]  flow      hash
-- KEYS[7]  turns        hash  virtual times of the job's queue
-- KEYS[8]  prioritized  zset  BullMQ's queue
-- KEYS[9]  lock      string  BullMQ's lock of the job, which must hold the token; absent where there
--                            is none to look at
-- ARGV[1]  id
-- ARGV[2]  slot      prefix of the slot's keys
-- ARGV[3]  token   "<worker>:<number>", new for each fetch: asking twice claims once
-- ARGV[4]  deaths    how many workers may die holding the job before it is failed
-- ARGV[5]  version   of the model that the worker serves
-- ARGV[6]  ids       '1' when its engine can go on from token ids, else ''
--
-- Returns {'claimed', epoch, attempts, spec, fragile, from, suspect, request, line}, or one of {'absent'} (hand it
-- back), {'ended'}, {'expired'}, {'failed'} (acknowledge it: it needs no work any more), {'unlocked'}
-- (forget it: while this was on its way the lock ran out, and the job is another's). `from` is how
-- many output entries of earlier attempts stand, for this one to go on from; 0 when it starts (over).
-- `suspect` is 1 when one more death fails the job. `request` is '' where it is in the spec.
-- `line` is 1 of a line of a batch.
-- @include end-job
-- @include flow
-- @include redis-run
-- @include turn

-- More attempts than Redis can have forgotten of one job.
local FORGOTTEN_ATTEMPTS = 1000
-- Entries of output, a second's worth or more, after which a death is no longer put down to the job:
-- one that kills where it has come to would kill again soon after going on from there.
local HARMLESS_ENTRIES = 50

local id, slot, token, death_limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local version, has_ids = ARGV[5], ARGV[6] == '1'
local job = named_job(id, slot)
local field = redis.call('HMGET', job.entry, 'state', 'epoch', 'attempts', 'deaths', 'deadline_at',
  'first_claimed_at', 'next', 'retry_reason', 'fragile', 'watchers', 'spec', 'token', 'shown', 'from',
  'made_by', 'first_token_at', 'first_shown_at', 'run',
  'turn', 'accepted_at', 'request', 'batch')
local state, epoch, attempts = field[1], tonumber(field[2] or 0), tonumber(field[3] or 0)
local deaths, deadline_at, first_claimed_at = tonumber(field[4] or 0), tonumber(field[5]), field[6]
-- Whether any attempt has shown output, not only the last: an attempt may end without any.
local shown = tonumber(field[7] or 1) > 1 or field[13] == '1'
local reason, fragile, watchers, spec = field[8] or 'first', field[9], field[10], field[11]
local from = tonumber(field[14] or 0)
local made = from + tonumber(field[7] or 1) - 1
local now = now_ms()

-- A worker that was paused between fetch and claim would take the job from whoever has it now, and
-- count a death that nobody died.
if KEYS[9] and redis.call('GET', KEYS[9]) ~= token then return {'unlocked'} end
if not state then return {'absent'} end
if state ~= 'queued' and state ~= 'in_progress' then return {'ended'} end

if state == 'queued' and not first_claimed_at and tonumber(now) > deadline_at then
  end_job(job, 'expired', '{"error":"deadline_exceeded"}', {})
  return {'expired'}
end

if state == 'in_progress' and field[12] == token then
  return {'claimed', epoch, attempts, spec, fragile and 1 or 0, from, deaths >= death_limit - 1 and 1 or 0,
    field[21] or '', field[22] and 1 or 0}
end

-- The ids of a prompt are kept only where all output has its ids too. Another version of the model
-- would have said something else, and nobody may go on in its name.
local continues = made > 0 and has_ids and field[15] == version and reason ~= 'cannot_continue'
  and redis.call('HEXISTS', job.entry, 'prompt_ids') == 1
if state == 'in_progress' then
  -- Nobody released it, yet BullMQ offers it again: the worker that held it is gone.
  local added = tonumber(field[7] or 1) - 1
  deaths = continues and added >= HARMLESS_ENTRIES and 0 or deaths + 1
  reason = 'worker_lost'
  job.attempt_end = reason
  if deaths >= death_limit then
    redis.call('HSET', job.entry, 'deaths', deaths)
    end_job(job, 'failed', '{"error":"worker_crashed"}', {})
    return {'failed'}
  end
end

if shown and fragile and not continues then
  redis.call('HSET', job.entry, 'deaths', deaths)
  end_job(job, 'failed', '{"error":"output_interrupted"}', {})
  return {'failed'}
end

if job.attempt_end then end_attempt(job.entry, epoch, now, job.attempt_end, '') end
-- An attempt that Redis has forgotten had an epoch, which readers have seen and its worker writes
-- under: no other may have the same.
local run = redis_run()
if run ~= '' and field[18] ~= run then
  epoch = epoch + FORGOTTEN_ATTEMPTS
  redis.call('HINCRBY', job.entry, 'skipped', FORGOTTEN_ATTEMPTS)
end
epoch, attempts = epoch + 1, attempts + 1
begin_attempt(job.entry, epoch, now, string.match(token, '^[^:]+'), continues and made or 0, shown and not continues)
redis.call('HSET', job.entry, 'state', 'in_progress', 'epoch', epoch, 'next', 1,
  'attempts', attempts, 'deaths', deaths, 'token', token, 'claimed_at', now,
  'first_claimed_at', first_claimed_at or now, 'made_by', version,
  'run', run)
redis.call('HDEL', job.entry, 'first_token_at', 'retry_reason')
if shown then redis.call('HSET', job.entry, 'shown', 1) end
if continues then
  from = made
  redis.call('HSET', job.entry, 'from', from, 'first_shown_at', field[17] or field[16] or now)
else
  from = 0
  redis.call('HDEL', job.entry, 'from', 'prompt_ids', 'first_shown_at')
end
redis.call('ZREM', job.deadline, id)
local turn = read_turn(field[19])
count_start(KEYS[6], tonumber(now), turn.class)
if not first_claimed_at then start_turn(KEYS[7], KEYS[8], turn, field[20]) end
settle_head(KEYS[7], KEYS[8], slot, turn.class)

local cursor = string.format('%.0f-0', epoch)
local data = '{"epoch":' .. epoch .. ',"reason":"' .. reason .. '","from":' .. from .. ',"reset":'
  .. tostring(shown and not continues) .. '}'
redis.call('XADD', job.log, cursor, 'attempt', data)
-- What earlier attempts said is void from here on, so nobody need be sent it again.
if epoch > 1 and not continues then redis.call('XTRIM', job.log, 'MINID', cursor) end
deliver(slot, watchers, inbox_line(id, cursor, 'attempt', data))
return {'claimed', epoch, attempts, spec, fragile and 1 or 0, from, deaths >= death_limit - 1 and 1 or 0,
    field[21] or '', field[22] and 1 or 0}
