#!lua flags=allow-oom
-- Write down how far a batch has come, and keep it for another lease.
--
-- KEYS[1]  batch     hash
-- ARGV[1]  slot      string  begin of every key
-- ARGV[2]  id        string
-- ARGV[3]  epoch     of the claim
-- ARGV[4]  lease     ms, from now
-- ARGV[5]  to        status to go on to, '' = none
-- ARGV[6]  pairs     of field and value, that many
-- ARGV[7..]          the pairs, then the names of new segments
--
-- Returns the status that it has now, or '' when it is no longer the claim's: then nothing was
-- written. Where the status does not let it go on (it is cancelled, say) all else is written.
-- Writing the same again changes nothing.
-- @include batch-fence
local keys, id, epoch, to, pair_count = batch_keys(ARGV[1]), ARGV[2], ARGV[3], ARGV[5], tonumber(ARGV[6])
local NEXT = {validating = 'in_progress', in_progress = 'finalizing'}
local is_held, status = holds(KEYS[1], epoch)
if not is_held then return '' end

set_fields(KEYS[1], 7, pair_count)
local segments = keys.segments(id)
for i = 7 + 2 * pair_count, #ARGV do
  redis.call('ZADD', segments, 'NX', redis.call('ZCARD', segments), ARGV[i])
end
if to ~= '' and NEXT[status] == to then
  redis.call('HSET', KEYS[1], 'status', to, to .. '_at', now_ms())
  status = to
end
redis.call('ZADD', keys.open, string.format('%.3f', tonumber(now_ms()) + tonumber(ARGV[4])), id)
return status
