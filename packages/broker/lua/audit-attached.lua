-- Find synchronous jobs whose ingress is gone, and with it whoever wanted the answer.
--
-- KEYS[1]  attached  zset  job id -> accepted at, ms
-- ARGV[1]  slot   prefix of the slot's keys
-- ARGV[2]  grace  ms in which a new job's ingress need not have a lease yet
-- ARGV[3]  count  of jobs to look at, oldest first
--
-- Returns the jobs' ids.
-- @include clock
local slot, count = ARGV[1], tonumber(ARGV[3])
local oldest = tonumber(now_ms()) - ARGV[2]
local found, leases = {}, {}

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', oldest, 'LIMIT', 0, count)) do
  local ingress = redis.call('HGET', slot .. ':job:' .. id, 'attached')
  if not ingress then
    redis.call('ZREM', KEYS[1], id)
  else
    leases[ingress] = leases[ingress] or redis.call('EXISTS', slot .. ':lease:' .. ingress)
    if leases[ingress] == 0 then found[#found + 1] = id end
  end
end
return found
