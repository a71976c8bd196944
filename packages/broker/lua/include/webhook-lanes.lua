-- @include clock

-- Who is sent what next. Tenants wait in a list by when their first lane is ready, a tenant's lanes by
-- when their first delivery is due. A lane is one receiver: an endpoint, or for the webhooks of single
-- jobs a host. Whoever was just served goes to the back of those that are ready, so that no flood holds
-- up another tenant, and no receiver another one.
--
-- A lane has as many deliveries under way as its window says: 4 at first, one more with each that was
-- delivered, 1 once its circuit has opened. It is in its tenant's list only while it may be served: a
-- full one comes back when one of its deliveries is settled, or its lease has run out.

-- Deliveries of one lane under way at once, however well it does.
local LARGEST_WINDOW = 16
local FIRST_WINDOW = 4
-- Deliveries of one tenant under way at once, over all processes.
local TENANT_LIMIT = 64
-- Failures in a row from which on a lane is only probed.
local OPENS_AFTER = 5
local FIRST_PAUSE_MS = 5000
local LONGEST_PAUSE_MS = 300000
-- Longer than a receiver may have us wait: until then it is known how it did.
local LANE_KEPT_MS = 93600000
local TENANT_KEPT_MS = 3600000
-- How long what became of a delivery is kept, and of how many of a receiver's.
local ENDED_KEPT_MS = 604800000
local ENDED_KEPT = 1000

-- Names below are made from the slot: all keys of webhooks lie in it.
local slot = ARGV[1]
local tenants_key = slot .. ':tenants'
local leases_key = slot .. ':leases'

local function key(kind, name)
  return slot .. ':' .. kind .. ':' .. name
end

-- The time that the caller goes by, where it has one of its own, as a test may: else Redis'.
local function time_of(given)
  return tonumber(given) or tonumber(now_ms())
end

local function text_of(ms)
  return string.format('%.3f', ms)
end

local function numbers(hash, ...)
  local found = {}
  for i, value in ipairs(redis.call('HMGET', hash, ...)) do found[i] = tonumber(value or 0) end
  return unpack(found)
end

local function window_of(lane)
  return tonumber(redis.call('HGET', key('lane', lane), 'window') or FIRST_WINDOW)
end

local function reschedule_tenant(tenant)
  local first = redis.call('ZRANGE', key('lanes', tenant), 0, 0, 'WITHSCORES')
  local busy, served_at = numbers(key('tenant', tenant), 'busy', 'served_at')
  if first[2] and busy < TENANT_LIMIT then
    redis.call('ZADD', tenants_key, text_of(math.max(tonumber(first[2]), served_at)), tenant)
  else
    redis.call('ZREM', tenants_key, tenant)
  end
end

-- Put a lane, and with it its tenant, where they belong in their lists.
local function reschedule(lane, tenant)
  local first = redis.call('ZRANGE', key('due', lane), 0, 0, 'WITHSCORES')
  local busy, open_until, served_at = numbers(key('lane', lane), 'busy', 'open_until', 'served_at')
  local lanes = key('lanes', tenant)
  if first[2] and busy < window_of(lane) then
    redis.call('ZADD', lanes, text_of(math.max(tonumber(first[2]), open_until, served_at)), lane)
  else
    redis.call('ZREM', lanes, lane)
  end
  reschedule_tenant(tenant)
end

-- Count deliveries that wait or are under way, and those under way alone.
local function count(lane, tenant, waiting, busy)
  local of_tenant = key('tenant', tenant)
  local left = redis.call('HINCRBY', of_tenant, 'waiting', waiting)
  if busy ~= 0 then
    redis.call('HINCRBY', of_tenant, 'busy', busy)
    redis.call('HINCRBY', key('lane', lane), 'busy', busy)
    redis.call('PEXPIRE', key('lane', lane), LANE_KEPT_MS)
  end
  if left > 0 then redis.call('PERSIST', of_tenant)
  else redis.call('PEXPIRE', of_tenant, TENANT_KEPT_MS) end
end

-- A delivery has come to its end, good or bad, and is in no lane any more.
local function end_delivery(id, target, state, failure, now)
  local record = key('delivery', id)
  redis.call('HSET', record, 'state', state, 'failure', failure)
  redis.call('HDEL', record, 'token')
  redis.call('PEXPIRE', record, ENDED_KEPT_MS)
  local ended, log = key('ended', target), key('log', target)
  redis.call('ZADD', ended, text_of(now), id)
  for _, old in ipairs(redis.call('ZRANGE', ended, 0, -ENDED_KEPT - 1)) do
    redis.call('DEL', key('delivery', old))
    redis.call('ZREM', log, old)
    redis.call('ZREM', ended, old)
  end
  redis.call('PEXPIRE', ended, ENDED_KEPT_MS)
  redis.call('PEXPIRE', log, ENDED_KEPT_MS)
end
