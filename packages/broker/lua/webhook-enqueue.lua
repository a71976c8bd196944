#!lua flags=allow-oom
-- Have an event delivered to one receiver. Also while Redis is full: it is in an outbox already, which
-- only so gets shorter.
--
-- KEYS[1]   tenants   zset    tenant -> when it is to be served
-- ARGV[1]   slot      string  begin of every key
-- ARGV[2]   now       ms, or '' for Redis' own clock
-- ARGV[3]   id        string  of the delivery: the same for the same event and receiver
-- ARGV[4]   tenant    string
-- ARGV[5]   lane      string  whose window and circuit it comes under
-- ARGV[6]   target    string  whose log it is in
-- ARGV[7]   endpoint  string  '' for the webhook of a single job
-- ARGV[8]   url       string  '' for an endpoint's
-- ARGV[9]   event     JSON    what is sent
-- ARGV[10]  most      of a lane's deliveries that may wait
-- ARGV[11]  most      of a tenant's that may
--
-- Where too many wait, the one that is tried again last ends as failed.
-- Returns 1 when it is new, 0 when it was there.
-- @include webhook-lanes
local now = time_of(ARGV[2])
local id, tenant, lane, target = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local record = key('delivery', id)
if redis.call('EXISTS', record) == 1 then return 0 end

redis.call('HSET', record, 'tenant', tenant, 'lane', lane, 'target', target, 'endpoint', ARGV[7],
  'url', ARGV[8], 'event', ARGV[9], 'state', 'pending', 'failure', '', 'created_at', text_of(now),
  'since', text_of(now), 'tries', 0, 'history', '')
redis.call('ZADD', key('log', target), text_of(now), id)
redis.call('PERSIST', key('log', target))
redis.call('ZADD', key('due', lane), text_of(now), id)
count(lane, tenant, 1, 0)

local waiting = numbers(key('tenant', tenant), 'waiting')
if redis.call('ZCARD', key('due', lane)) > tonumber(ARGV[10]) or waiting > tonumber(ARGV[11]) then
  local last = redis.call('ZRANGE', key('due', lane), -1, -1)[1]
  redis.call('ZREM', key('due', lane), last)
  count(lane, tenant, -1, 0)
  end_delivery(last, redis.call('HGET', key('delivery', last), 'target'), 'failed', 'backlog_full', now)
end
reschedule(lane, tenant)
return 1
