#!lua flags=allow-oom
-- Give back what a job held of its key's limits, unless it has been.
--
-- KEYS[1]  held    zset  of the key and kind
-- ARGV[1]  tenant  prefix of the tenant's keys
-- ARGV[2]  key     id
-- ARGV[3]  kind    later | now
-- ARGV[4]  id      of the job
-- ARGV[5]  tokens  that were reserved
-- ARGV[6]  model   name
-- ARGV[7]  used    tokens; what was reserved beyond them goes back, what was not is taken
--
-- Returns 1 when it held something.
-- @include clock
-- @include hold
local hold = {key = ARGV[2], kind = ARGV[3], id = ARGV[4], tokens = ARGV[5], model = ARGV[6]}
return give_back(ARGV[1], hold, tonumber(ARGV[7]), now_ms()) and 1 or 0
