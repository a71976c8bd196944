-- What a tenant's jobs take of Redis, in bytes: JOB_BYTES for each in its list, and what large ones
-- take beyond that: a hash of job id -> bytes, with their sum under ''. A job is in the hash only
-- while it is in the list, so that whoever strikes it off the list keeps both right.

-- Ledger, lists and queue of one job, rounded up. Also in redis-watch.ts.
local JOB_BYTES = 2500
-- What is less than this beyond it is not worth a field of its own.
local LEAST_BYTES = 2048

-- bytes  beyond JOB_BYTES
local function note_stored(stored, id, bytes)
  local before = redis.call('HGET', stored, id)
  if bytes >= LEAST_BYTES then
    redis.call('HSET', stored, id, string.format('%.0f', bytes))
  elseif before then
    redis.call('HDEL', stored, id)
    bytes = 0
  else
    return
  end
  local sum = redis.call('HINCRBY', stored, '', string.format('%.0f', bytes - (before or 0)))
  if sum == 0 then redis.call('HDEL', stored, '') end
end

local function stored_bytes(jobs, stored)
  return redis.call('ZCARD', jobs) * JOB_BYTES + (redis.call('HGET', stored, '') or 0)
end

-- Returns what the tenant's jobs take if another of so many bytes beyond JOB_BYTES would be more than
-- its share, else nil.
--
-- most  bytes, 0 for any number
local function share_held(jobs, stored, bytes, most)
  if most == 0 then return nil end
  local held = stored_bytes(jobs, stored)
  return held + JOB_BYTES + bytes > most and held or nil
end

-- Strike jobs off a tenant's list, with what they take. Returns how many were in it.
local function strike(jobs, stored, ids)
  for _, id in ipairs(ids) do note_stored(stored, id, 0) end
  local struck = 0
  for i = 1, #ids, 1000 do
    struck = struck + redis.call('ZREM', jobs, unpack(ids, i, math.min(i + 999, #ids)))
  end
  return struck
end
