#!lua flags=allow-oom
-- Make, change or delete an API key, and say so in the audit log, in one step. Also while Redis is
-- full: keys must be revocable then, and there are only so many.
--
-- KEYS[1]  keys     hash    id -> JSON
-- KEYS[2]  by-age   zset    id -> created at, ms
-- KEYS[3]  used     hash    id -> last used at, ms
-- KEYS[4]  tenants  hash    tenant -> JSON settings
-- KEYS[5]  version  string
-- KEYS[6]  audit    stream
-- ARGV[1]  id
-- ARGV[2]  before  JSON as it was read, '' = there is no such key
-- ARGV[3]  after   JSON, '' = delete it
-- ARGV[4]  tenant  whose key it is
-- ARGV[5]  entry   JSON for the audit log
-- ARGV[6]  most    keys, and tenants, there may be
-- ARGV[7]  most    entries the audit log keeps
--
-- Returns 1 when it is done, 2 when it was done already, 0 when another call has changed the key
-- since, -1 when there is no room for one more.
-- @include registry
-- @include clock
local id, before, after, tenant, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[6])
local is_new_tenant = redis.call('HEXISTS', KEYS[4], tenant) == 0
if before == '' and is_new_tenant and redis.call('HLEN', KEYS[4]) >= most then return -1 end

local verdict = replace(KEYS[1], id, before, after, most)
if verdict ~= 1 then return verdict end

if before == '' then
  redis.call('ZADD', KEYS[2], now_ms(), id)
  if is_new_tenant then redis.call('HSET', KEYS[4], tenant, '{}') end
elseif after == '' then
  redis.call('ZREM', KEYS[2], id)
  redis.call('HDEL', KEYS[3], id)
end
announce(KEYS[5], KEYS[6], ARGV[5], ARGV[7])
return 1
