-- Token buckets, by Redis' clock: a bucket holds a minute's worth, and is filled again evenly. One is
-- a field of a hash: "<level> <at, ms> <limit>". A level may be below zero: what came to more than
-- had been reserved is owed. A bucket that is not there is full.
local MINUTE_MS = 60000
-- What sums of fractions may be off by.
local ROUNDING = 0.000001

local function read_bucket(key, field, limit, now)
  local level, at, known = string.match(redis.call('HGET', key, field) or '', '^(%S+) (%S+) (%S+)$')
  limit = tonumber(limit or known)
  if not limit or limit == 0 then return nil end
  level = level and level + (now - at) * limit / MINUTE_MS or limit
  return {key = key, field = field, limit = limit, level = math.min(limit, level)}
end

-- How long until the bucket holds so much, ms; 0 when it does, -1 when it never will.
local function wait_for(bucket, amount)
  if amount > bucket.limit then return -1 end
  if bucket.level + ROUNDING >= amount then return 0 end
  return math.ceil((amount - bucket.level) * MINUTE_MS / bucket.limit)
end

-- Take from a bucket; with less than 0, put back.
local function take(bucket, amount, now)
  bucket.level = math.min(bucket.limit, bucket.level - amount)
  redis.call('HSET', bucket.key, bucket.field,
    string.format('%.6f %s %.0f', bucket.level, now, bucket.limit))
  -- Kept until it is full again: then it need not be there.
  local full_in = math.ceil((bucket.limit - bucket.level) * MINUTE_MS / bucket.limit) + 1000
  if redis.call('PTTL', bucket.key) < full_in then redis.call('PEXPIRE', bucket.key, full_in) end
end
