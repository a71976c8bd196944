-- Strike a model version off those that jobs wait for, once none does, with what its queue leaves
-- behind: 10,000 events, for one.
--
-- KEYS[1]  versions     zset  version -> last accepted for, ms
-- KEYS[2]  prioritized  zset
-- KEYS[3]  wait         list
-- KEYS[4]  active       list
-- KEYS[5..]             what is kept of a queue beside jobs and settings
-- ARGV[1]  version  no job is accepted for it any more
-- ARGV[2]  grace    ms a job may be accepted and not yet added
--
-- Returns 1 when it is struck off, 0 when jobs wait, or may be about to.
-- @include clock
local last_accepted_at = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
if last_accepted_at > tonumber(now_ms()) - ARGV[2] then return 0 end
if redis.call('EXISTS', KEYS[2], KEYS[3], KEYS[4]) > 0 then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('UNLINK', unpack(KEYS, 5))
return 1
