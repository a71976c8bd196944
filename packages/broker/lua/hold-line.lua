-- Reserve what a line of a batch may take of its key's budgets of the month, if they bear it. No limit a
-- minute, and none of jobs open at once, counts lines.
--
-- KEYS[1]  held     zset  hold -> at, ms: open lines of the key
-- KEYS[2]  owed     hash  key id -> tokens reserved for open jobs
-- KEYS[3]  holders  set   key ids that may have holds
-- ARGV[1]  tenant   prefix of the tenant's keys
-- ARGV[2]  id
-- ARGV[3]  key      id of the key
-- ARGV[4]  model    name
-- ARGV[5]  tokens   to reserve
-- ARGV[6]  month    UTC, as 2026-11
-- ARGV[7]  most tokens a month, 0 for any number
-- ARGV[8]  most cost a month in billionths, 0 for any
--
-- Returns '' when it is held, also when it was before; else the budget that forbids it.
-- @include clock
-- @include hold
-- @include budget
local hold = name_hold(ARGV[2], ARGV[5], ARGV[4])
if redis.call('ZSCORE', KEYS[1], hold) then return '' end

local spent = find_spent(ARGV[1], {
  key = ARGV[3], month = ARGV[6], tokens = tonumber(ARGV[5]),
  most_tokens = tonumber(ARGV[7]), most_cost = tonumber(ARGV[8]),
})
if spent then return spent end

redis.call('ZADD', KEYS[1], now_ms(), hold)
redis.call('SADD', KEYS[3], ARGV[3])
redis.call('HINCRBY', KEYS[2], ARGV[3], ARGV[5])
return ''
