-- Delete a file, unless a batch that has not ended needs it.
--
-- KEYS[1]  file    hash
-- ARGV[1]  slot    string  begin of every key
-- ARGV[2]  id      string
-- ARGV[3]  tenant  string  whose it must be
-- ARGV[4]  object  string  key of its object, which is to be removed now
--
-- Returns 1 when deleted, 0 when there is no such file of the tenant's, or the id of a batch that
-- needs it.
-- @include batch-keys
local keys, id, tenant = batch_keys(ARGV[1]), ARGV[2], ARGV[3]
local now = tonumber(now_ms())
if not is_there(KEYS[1], tenant, now) then return 0 end
local user = redis.call('SRANDMEMBER', keys.uses(id))
if user then return user end
drop_file(keys, id, tenant, ARGV[4], now)
return 1
