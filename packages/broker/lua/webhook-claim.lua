#!lua flags=allow-oom
-- Take deliveries that are due, fairly. What a process took and did not settle is taken again once its
-- lease has run out.
--
-- KEYS[1]  tenants  zset    tenant -> when it is to be served
-- ARGV[1]  slot     string  begin of every key
-- ARGV[2]  now      ms, or '' for Redis' own clock
-- ARGV[3]  most     deliveries to take
-- ARGV[4]  lease    ms      until when each is to be settled
-- ARGV[5]  token    string  by which they are settled
--
-- Returns {ms until the next may be due, or -1; {id, tenant, endpoint, url, event, tries, history,
-- since it was to be delivered, ms; overdue, ms}, …}.
-- @include webhook-lanes
local now, most, lease, token = time_of(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
-- Lapsed leases taken back, tenants looked at, lanes of a tenant looked at: in one go each.
local LAPSED, TENANTS, LANES = 100, 200, 16
-- Served ones go to the back of what is ready by fractions of a millisecond.
local horizon = now + 1

local function take_back_lapsed()
  local lapsed = redis.call('ZRANGEBYSCORE', leases_key, '-inf', text_of(now), 'LIMIT', 0, LAPSED)
  for _, id in ipairs(lapsed) do
    redis.call('ZREM', leases_key, id)
    local tenant, lane = unpack(redis.call('HMGET', key('delivery', id), 'tenant', 'lane'))
    if tenant then
      redis.call('HDEL', key('delivery', id), 'token')
      redis.call('ZADD', key('due', lane), text_of(now), id)
      count(lane, tenant, 0, -1)
      reschedule(lane, tenant)
    end
  end
end

-- The next delivery of a tenant: its lane and id, and when it was due.
local function find_next(tenant)
  local free = TENANT_LIMIT - numbers(key('tenant', tenant), 'busy')
  local lanes = key('lanes', tenant)
  for _ = 1, free > 0 and LANES or 0 do
    local lane = redis.call('ZRANGEBYSCORE', lanes, '-inf', text_of(horizon), 'LIMIT', 0, 1)[1]
    if not lane then return end
    local first = redis.call('ZRANGE', key('due', lane), 0, 0, 'WITHSCORES')
    -- A lane that has as many under way as are left to all leaves those to the others.
    if first[1] and numbers(key('lane', lane), 'busy') < free then
      return lane, first[1], tonumber(first[2])
    end
    redis.call('ZREM', lanes, lane)
  end
end

local taken = {}

local function lend(id, tenant, due_at)
  local record = key('delivery', id)
  redis.call('ZADD', leases_key, text_of(now + lease), id)
  redis.call('HSET', record, 'token', token)
  local fields = redis.call('HMGET', record, 'endpoint', 'url', 'event', 'tries', 'history', 'since')
  taken[#taken + 1] = {
    id, tenant, fields[1], fields[2], fields[3], fields[4], fields[5],
    text_of(now - tonumber(fields[6])), text_of(math.max(now - due_at, 0)),
  }
end

local function take(tenant)
  local lane, id, due_at = find_next(tenant)
  if not lane then
    reschedule_tenant(tenant)
    return false
  end
  redis.call('ZREM', key('due', lane), id)
  if redis.call('EXISTS', key('delivery', id)) == 0 then
    count(lane, tenant, -1, 0)
  else
    local served_at = text_of(now + (#taken + 1) / 1000)
    redis.call('HSET', key('lane', lane), 'served_at', served_at)
    redis.call('HSET', key('tenant', tenant), 'served_at', served_at)
    count(lane, tenant, 0, 1)
    lend(id, tenant, due_at)
  end
  reschedule(lane, tenant)
  return true
end

take_back_lapsed()
local has_more = true
while has_more and #taken < most do
  has_more = false
  local ready = redis.call('ZRANGEBYSCORE', tenants_key, '-inf', text_of(horizon), 'LIMIT', 0, TENANTS)
  for _, tenant in ipairs(ready) do
    -- A tenant that has as many under way as are left to all leaves those to the others.
    if #taken < most and numbers(key('tenant', tenant), 'busy') < most - #taken then
      has_more = take(tenant) or has_more
    end
  end
end

local soonest = redis.call('ZRANGE', tenants_key, 0, 0, 'WITHSCORES')[2]
local lapse = redis.call('ZRANGE', leases_key, 0, 0, 'WITHSCORES')[2]
local next_at = math.min(tonumber(soonest or math.huge), tonumber(lapse or math.huge))
local wait = next_at == math.huge and -1 or math.max(math.ceil(next_at - now), 0)
return {wait, unpack(taken)}
