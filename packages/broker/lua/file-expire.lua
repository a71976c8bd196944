-- Delete files whose time is over, except those that a batch that has not ended needs: they go with
-- the first sweep after its end.
--
-- KEYS[1]  expiry  zset    file -> when it expires, ms
-- ARGV[1]  slot    string  begin of every key
-- ARGV[2]  prefix  string  begin of the key of each file's object, before its id
-- ARGV[3]  most    files to delete
--
-- Returns how many were deleted.
-- @include batch-keys
local keys, most = batch_keys(ARGV[1]), tonumber(ARGV[3])
-- Needed ones are passed over: more of them than this do not keep the rest waiting for ever, since
-- none is needed for longer than a batch may take.
local LOOKED_AT = 10 * most
local now = tonumber(now_ms())
local deleted = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms(), 'LIMIT', 0, LOOKED_AT)) do
  if deleted < most and redis.call('EXISTS', keys.uses(id)) == 0 then
    local tenant = redis.call('HGET', keys.file(id), 'tenant')
    drop_file(keys, id, tenant or '', ARGV[2] .. id, now)
    deleted = deleted + 1
  end
end
return deleted
