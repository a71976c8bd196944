#!lua flags=allow-oom
-- Give a batch back as it is, for another owner to take at once.
--
-- KEYS[1]  batch  hash
-- KEYS[2]  open   zset    batch -> lease end, ms
-- ARGV[1]  id     string
-- ARGV[2]  epoch  of the claim
--
-- Returns 1, or 0 when it is no longer the claim's.
-- @include batch-fence
if not holds(KEYS[1], ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[2], now_ms(), ARGV[1])
return 1
