-- Enter a file whose object is stored whole.
--
-- KEYS[1]  file      hash
-- ARGV[1]  slot      string  begin of every key
-- ARGV[2]  id        string
-- ARGV[3]  tenant    string
-- ARGV[4]  object    string  key of the object
-- ARGV[5]  spec      JSON
-- ARGV[6]  lifetime  ms      '' = for ever
-- ARGV[7]  most      files of a tenant
--
-- Returns {1, created at, expires at or ''}, also when it was entered before; {0} when its object
-- is due to be removed, or may have been; {-1} when the tenant has too many.
-- @include batch-keys
local keys, id, tenant, object = batch_keys(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local now = tonumber(now_ms())
if redis.call('EXISTS', KEYS[1]) == 0 then
  if not is_spared(keys, object, now) then return {0} end
  if redis.call('ZCARD', keys.files_of(tenant)) >= tonumber(ARGV[7]) then return {-1} end
  enter_file(keys, {id = id, tenant = tenant, object = object, spec = ARGV[5], lifetime = ARGV[6]},
    now)
end
return {1, unpack(redis.call('HMGET', KEYS[1], 'created_at', 'expires_at'))}
