-- Start a delivery over, from the first try. One that still waits is tried at once.
--
-- KEYS[1]  tenants  zset    tenant -> when it is to be served
-- ARGV[1]  slot     string  begin of every key
-- ARGV[2]  now      ms, or '' for Redis' own clock
-- ARGV[3]  id       string
--
-- Returns 1, or 0 when nothing is kept of it.
-- @include webhook-lanes
local now = time_of(ARGV[2])
local id = ARGV[3]
local record = key('delivery', id)
local tenant, lane, target, state = unpack(redis.call('HMGET', record, 'tenant', 'lane', 'target', 'state'))
if not tenant then return 0 end
-- It is under way just now.
if redis.call('ZSCORE', leases_key, id) then return 1 end

if state ~= 'pending' then
  redis.call('ZREM', key('ended', target), id)
  redis.call('PERSIST', record)
  redis.call('PERSIST', key('log', target))
  redis.call('HSET', record, 'state', 'pending', 'failure', '')
  count(lane, tenant, 1, 0)
end
redis.call('HSET', record, 'since', text_of(now), 'tries', 0)
redis.call('ZADD', key('due', lane), text_of(now), id)
-- Whoever asks for it knows better than the circuit whether the receiver is back.
redis.call('HSET', key('lane', lane), 'open_until', 0)
redis.call('PEXPIRE', key('lane', lane), LANE_KEPT_MS)
reschedule(lane, tenant)
return 1
