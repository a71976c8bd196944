-- Book a job with its tenant before the model's slot hears of it.
--
-- KEYS[1]  jobs      zset    job id -> booked at, ms: the tenant's list
-- KEYS[2]  reserved  zset    booking -> lease end, ms: not yet known to be accepted
-- KEYS[3]  record    string  "<digest> <job id>" of an Idempotency-Key; absent without one
-- ARGV[1]  id        string  id the job will have
-- ARGV[2]  lease     ms      how long an unaccepted booking lives
-- ARGV[3]  digest    string  of the request, with KEYS[3]
-- ARGV[4]  keep      ms      how long the key is remembered, with KEYS[3]
--
-- A booking is "<job id> <record key>", so that undoing it finds its record. Without a key there
-- is none: nobody can ask for the job again, and the list drops what has no entry.
--
-- Returns {1, id, 1} when booked anew; {0, first id, reserved} when this key and digest already
-- have a job, reserved = 1 while nobody knows whether it was accepted; {-1, first id, 0} when the
-- key was used for another request.
-- @include clock
local id, lease, digest, keep = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local record_key = KEYS[3] or ''
local now = now_ms()

local record = KEYS[3] and redis.call('GET', KEYS[3])
if record then
  local used, first = string.match(record, '^(%S+) (%S+)$')
  if used ~= digest then return {-1, first, 0} end
  return {0, first, redis.call('ZSCORE', KEYS[2], first .. ' ' .. record_key) and 1 or 0}
end

redis.call('ZADD', KEYS[1], now, id)
if KEYS[3] then
  redis.call('SET', KEYS[3], digest .. ' ' .. id, 'PX', keep)
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + lease), id .. ' ' .. record_key)
end
return {1, id, 1}
