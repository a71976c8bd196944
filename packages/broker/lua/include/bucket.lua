-- Token buckets, by Redis' clock: a bucket holds a minute's worth, and is filled again evenly. One is
-- a field of a hash: "<level> <at, ms> <limit>". A level may be below zero: what came to more than
-- had been reserved is owed. A bucket that is not there is full, and without a limit given has none.
local MINUTE_MS = 60000
-- What sums of fractions may be off by.
local ROUNDING = 0.000001

-- Read buckets of one hash, in one go.
--
-- limits  of each field, '0' for none; without, as each bucket remembers its own
--
-- Returns a bucket for each field, or false where there is no limit.
local function read_buckets(key, fields, limits, now)
  local buckets = {}
  for i, text in ipairs(redis.call('HMGET', key, unpack(fields))) do
    local level, at, known = string.match(text or '', '^(%S+) (%S+) (%S+)$')
    local limit = tonumber(limits and limits[i] or known or 0)
    buckets[i] = limit > 0 and {
      field = fields[i], limit = limit,
      level = level and math.min(limit, level + (now - at) * limit / MINUTE_MS) or limit,
    }
  end
  return buckets
end

-- How long until the bucket holds so much, ms; 0 when it does, -1 when it never will.
local function wait_for(bucket, amount)
  if amount > bucket.limit then return -1 end
  if bucket.level + ROUNDING >= amount then return 0 end
  return math.ceil((amount - bucket.level) * MINUTE_MS / bucket.limit)
end

local function full_in(bucket)
  return math.ceil((bucket.limit - bucket.level) * MINUTE_MS / bucket.limit)
end

-- Take from buckets of one hash, from each its amount; with less than 0, put back.
--
-- keep  ms for which they are kept at least: for what is to be taken of them then, by the limits that
--       they remember
local function take(key, buckets, amounts, now, keep)
  local written = {}
  for i, bucket in ipairs(buckets) do
    if bucket then
      bucket.level = math.min(bucket.limit, bucket.level - amounts[i])
      keep = math.max(keep, full_in(bucket) + 1000)
      written[#written + 1] = bucket.field
      written[#written + 1] = string.format('%.6f %s %.0f', bucket.level, now, bucket.limit)
    end
  end
  if #written == 0 then return end
  redis.call('HSET', key, unpack(written))
  -- And until all are full again: then they need not be there.
  if redis.call('PTTL', key) < keep then redis.call('PEXPIRE', key, keep) end
end
