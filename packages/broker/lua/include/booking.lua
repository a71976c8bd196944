-- Book a job with its tenant before the model's slot hears of it.
--
-- A booking is "<job id> <record key>", so that undoing it finds its record. Without a key there
-- is none: nobody can ask for the job again, and the list drops what has no entry.

-- A call that OpenAI's SDK makes has a record as if its body were its key, for the SDK to be found by
-- when it repeats the call. Two calls may say the same, so each overwrites what one before has left.

-- The reply for a key that has been used before: {0, first id, reserved} when this digest already has
-- a job, reserved = 1 while nobody knows whether it was accepted; {-1, first id, 0} when the key was
-- used for another request. Nil for a new one, or without a key.
local function find_first(record_key, reserved, digest)
  local record = record_key and redis.call('GET', record_key)
  if not record then return nil end
  local used, first = string.match(record, '^(%S+) (%S+)$')
  if used ~= digest then return {-1, first, 0} end
  return {0, first, redis.call('ZSCORE', reserved, first .. ' ' .. record_key) and 1 or 0}
end

-- lease  ms  how long an unaccepted booking lives
-- keep   ms  how long the key is remembered
local function book(id, now, booking)
  redis.call('ZADD', booking.jobs, now, id)
  if not booking.record then return end
  redis.call('SET', booking.record, booking.digest .. ' ' .. id, 'PX', booking.keep)
  redis.call('ZADD', booking.reserved, string.format('%.0f', now + booking.lease),
    id .. ' ' .. booking.record)
end
