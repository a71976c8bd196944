#!lua flags=allow-oom
-- Say what came of a delivery that was claimed, and how its receiver does.
--
-- KEYS[1]   tenants  zset    tenant -> when it is to be served
-- ARGV[1]   slot     string  begin of every key
-- ARGV[2]   now      ms, or '' for Redis' own clock
-- ARGV[3]   id       string
-- ARGV[4]   token    string  of the claim
-- ARGV[5]   state    delivered | failed | pending: in the last case it is tried again
-- ARGV[6]   failure  string  why it failed for good, or ''
-- ARGV[7]   retry    ms      until it is tried again
-- ARGV[8]   tries    so far
-- ARGV[9]   history  JSON    what came of each
-- ARGV[10]  health   well | ill | full | unknown: of the receiver; full = it asks for less
-- ARGV[11]  pause    ms      that the receiver asks for
-- ARGV[12]  jitter   number  that the circuit's pause is multiplied by
--
-- Returns 1, or 0 when the lease had run out and the delivery is another's.
-- @include webhook-lanes
local now = time_of(ARGV[2])
local id, state, health = ARGV[3], ARGV[5], ARGV[10]
local record = key('delivery', id)
local token, tenant, lane, target = unpack(redis.call('HMGET', record, 'token', 'tenant', 'lane', 'target'))
if token ~= ARGV[4] then return 0 end

-- A receiver that is ill five times in a row, or full, is left alone for a while, and then probed with
-- one delivery: what waits for it burns no try meanwhile.
local function judge()
  local hash = key('lane', lane)
  if health == 'well' then
    local window = math.min(window_of(lane) + 1, LARGEST_WINDOW)
    redis.call('HSET', hash, 'window', window, 'failures', 0, 'open_until', 0)
  elseif health == 'ill' or health == 'full' then
    local open_until = numbers(hash, 'open_until')
    -- What was under way when the circuit opened says nothing new.
    if open_until <= now then
      local failures = redis.call('HINCRBY', hash, 'failures', 1)
      local steps = failures - (health == 'full' and 1 or OPENS_AFTER)
      if steps >= 0 then
        redis.call('HSET', hash, 'window', 1)
        open_until = now + tonumber(ARGV[12])
          * math.min(FIRST_PAUSE_MS * 2 ^ math.min(steps, 10), LONGEST_PAUSE_MS)
      end
    end
    if health == 'full' then open_until = math.max(open_until, now + tonumber(ARGV[11])) end
    redis.call('HSET', hash, 'open_until', text_of(open_until))
  end
end

redis.call('ZREM', leases_key, id)
redis.call('HDEL', record, 'token')
redis.call('HSET', record, 'tries', ARGV[8], 'history', ARGV[9])
judge()
if state == 'pending' then
  redis.call('ZADD', key('due', lane), text_of(now + tonumber(ARGV[7])), id)
  count(lane, tenant, 0, -1)
else
  count(lane, tenant, -1, -1)
  end_delivery(id, target, state, ARGV[6], now)
end
reschedule(lane, tenant)
return 1
