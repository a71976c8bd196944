#!lua flags=allow-oom
-- Give up an attempt so that another worker may make the next one.
--
-- KEYS[1]  entry     hash
-- KEYS[2]  deadline  zset
-- ARGV[1]  id
-- ARGV[2]  epoch
-- ARGV[3]  token   of the claim
-- ARGV[4]  reason  why the next attempt begins: handed_back | engine_error | log_lost |
--                  cannot_continue
-- ARGV[5]  burn    '1' when the attempt counts, '' when the job is none the worse for it
-- ARGV[6]  code    of the failure that made it count, else ''
-- ARGV[7]  gpu     ms of the GPU's time that the attempt has cost; '0' when it is not known
--
-- Returns 1 when the job is queued, -1 fenced, -3 gone. It may be queued already: by the same call,
-- whose reply was lost, or since Redis has forgotten the claim.
-- @include clock
-- @include attempts
local entry, id, epoch, token = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local field = redis.call('HMGET', entry, 'state', 'epoch', 'attempts', 'deadline_at', 'next', 'shown', 'token')
local attempts = tonumber(field[3] or 0)

if not field[1] then return -3 end
if field[1] == 'queued' then return 1 end
if field[1] ~= 'in_progress' or field[2] ~= epoch or field[7] ~= token then return -1 end

redis.call('HSET', entry, 'state', 'queued', 'retry_reason', ARGV[4])
redis.call('HDEL', entry, 'token')
end_attempt(entry, epoch, now_ms(), ARGV[4], ARGV[6])
if ARGV[7] ~= '0' then redis.call('HINCRBYFLOAT', entry, 'gpu_ms', ARGV[7]) end
if ARGV[5] == '1' then return 1 end

attempts = attempts - 1
redis.call('HSET', entry, 'attempts', attempts)
local shown = tonumber(field[5] or 1) > 1 or field[6] == '1'
if attempts == 0 and not shown then
  -- As if it had never started: it waits again, and its deadline counts again.
  redis.call('HDEL', entry, 'first_claimed_at', 'claimed_at', 'first_token_at')
  redis.call('ZADD', KEYS[2], field[4], id)
end
return 1
