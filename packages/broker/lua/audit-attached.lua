-- Find synchronous jobs whose ingress is gone, and with it whoever wanted the answer.
--
-- KEYS[1]  attached  zset  job id -> accepted at, ms
-- ARGV[1]  slot   prefix of the slot's keys
-- ARGV[2]  from   rank of the page's first job
-- ARGV[3]  count  of jobs in the page
--
-- Returns {seen, id, attached, id, …}: how many jobs the page had, then those whose ingress has no
-- lease, with the call they live as long as ('<ingress> <call>'): a lease may also be missing because Redis was away, so the caller asks twice.
local slot, from, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local page = redis.call('ZRANGE', KEYS[1], from, from + count - 1)
local found, leases = {#page}, {}

for _, id in ipairs(page) do
  local attached = redis.call('HGET', slot .. ':job:' .. id, 'attached')
  local ingress = string.match(attached or '', '^%S+')
  if not ingress then
    redis.call('ZREM', KEYS[1], id)
  else
    leases[ingress] = leases[ingress] or redis.call('EXISTS', slot .. ':lease:' .. ingress)
    if leases[ingress] == 0 then
      found[#found + 1] = id
      found[#found + 1] = attached
    end
  end
end
return found
