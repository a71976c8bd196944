-- Take a batch in.
--
-- KEYS[1]  batch     hash
-- KEYS[2]  once      string  "<digest> <batch id>" of an Idempotency-Key; absent without one
-- ARGV[1]  slot      string  begin of every key
-- ARGV[2]  id        string
-- ARGV[3]  tenant    string
-- ARGV[4]  spec      JSON    what never changes
-- ARGV[5]  window    ms      within which it is to be done
-- ARGV[6]  file      string  its input
-- ARGV[7]  most      batches of a tenant that may be open
-- ARGV[8]  digest    string  of the request, with KEYS[2]
-- ARGV[9]  keep      ms      how long the key is remembered, with KEYS[2]
--
-- Returns {1, id} when it is new, {0, id} when its Idempotency-Key had made it, {-1} when the key
-- belongs to another request, {-2} when the tenant has no such file for batches, {-3} when it has
-- too many open batches.
-- @include batch-keys
local keys, id, tenant, file = batch_keys(ARGV[1]), ARGV[2], ARGV[3], ARGV[6]
-- Members of the tenant's list whose records are gone, taken out at once at most.
local FORGOTTEN = 10
local now = tonumber(now_ms())

local function forget_oldest()
  local list = keys.batches_of(tenant)
  for _, old in ipairs(redis.call('ZRANGE', list, 0, FORGOTTEN - 1)) do
    if redis.call('EXISTS', keys.batch(old)) == 1 then return end
    redis.call('ZREM', list, old)
  end
end

if redis.call('EXISTS', KEYS[1]) == 1 then return {1, id} end
if KEYS[2] then
  local first = redis.call('GET', KEYS[2])
  if first then
    local digest, found = string.match(first, '^(%S+) (%S+)$')
    if digest ~= ARGV[8] then return {-1} end
    return {0, found}
  end
end
local record = keys.file(file)
local purpose = is_there(record, tenant, now)
  and cjson.decode(redis.call('HGET', record, 'spec')).purpose
if purpose ~= 'batch' then return {-2} end
if redis.call('SCARD', keys.open_of(tenant)) >= tonumber(ARGV[7]) then return {-3} end

local at = string.format('%.3f', now)
redis.call('HSET', KEYS[1], 'tenant', tenant, 'spec', ARGV[4], 'file', file, 'status', 'validating',
  'created_at', at, 'expires_at', string.format('%.3f', now + tonumber(ARGV[5])))
forget_oldest()
redis.call('ZADD', keys.batches_of(tenant), at, id)
redis.call('ZADD', keys.open, at, id)
redis.call('SADD', keys.open_of(tenant), id)
redis.call('SADD', keys.uses(file), id)
if KEYS[2] then redis.call('SET', KEYS[2], ARGV[8] .. ' ' .. id, 'PX', ARGV[9]) end
return {1, id}
