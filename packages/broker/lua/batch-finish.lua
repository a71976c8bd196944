#!lua flags=allow-oom
-- Give a batch its last status, and enter the files that it leaves, in one step.
--
-- KEYS[1]  batch      hash
-- ARGV[1]  slot       string  begin of every key
-- ARGV[2]  id         string
-- ARGV[3]  epoch      of the claim
-- ARGV[4]  status     completed | failed | expired | cancelled
-- ARGV[5]  retention  ms      how long the record is kept
-- ARGV[6]  prefix     string  of all the batch's own objects
-- ARGV[7]  linger     ms      for which these are left to those who read them
-- ARGV[8]  lifetime   ms      of the files, '' = for ever
-- ARGV[9]  pairs      of field and value, that many
-- ARGV[10..]          the pairs, then four of each file: which (output_file | error_file), id,
--                     object, spec
--
-- Returns {1, status} when ended, also when the same claim had ended it so before; {0, status} when
-- its status does not let it end so; {-1, ''} when it is no longer the claim's; {-2, ''} when a
-- file's object is due to be removed, or may have been.
-- @include batch-fence
local keys, id, epoch, status = batch_keys(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local pair_count = tonumber(ARGV[9])
local FROM = {
  completed = {finalizing = true},
  failed = {validating = true, in_progress = true, finalizing = true},
  expired = {validating = true, in_progress = true, finalizing = true},
  cancelled = {cancelling = true},
}
local is_held, before, last = holds(KEYS[1], epoch)
if not is_held then
  if last == epoch and before == status then return {1, status} end
  return {-1, ''}
end
if not FROM[status][before] then return {0, before} end

local now = tonumber(now_ms())
for i = 10 + 2 * pair_count, #ARGV, 4 do
  if not is_spared(keys, ARGV[i + 2], now) then return {-2, ''} end
end

local at = string.format('%.3f', now)
local tenant, input = unpack(redis.call('HMGET', KEYS[1], 'tenant', 'file'))
set_fields(KEYS[1], 10, pair_count)
for i = 10 + 2 * pair_count, #ARGV, 4 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  enter_file(keys, {id = ARGV[i + 1], tenant = tenant, object = ARGV[i + 2], spec = ARGV[i + 3],
    lifetime = ARGV[8]}, now)
end
redis.call('HSET', KEYS[1], 'status', status, status .. '_at', at)
redis.call('HDEL', KEYS[1], 'owner', 'checkpoint')
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('DEL', keys.segments(id))
redis.call('ZREM', keys.open, id)
redis.call('SREM', keys.open_of(tenant), id)
redis.call('SREM', keys.uses(input), id)
redis.call('ZADD', keys.removals, string.format('%.3f', now + tonumber(ARGV[7])), ARGV[6])
redis.call('ZADD', keys.ended, at, id)
return {1, status}
