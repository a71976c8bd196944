-- Book a job with its tenant, for a key that has no limits.
--
-- KEYS[1]  jobs      zset    job id -> booked at, ms: the tenant's list
-- KEYS[2]  reserved  zset    booking -> lease end, ms: not yet known to be accepted
-- KEYS[3]  stored    hash    what the tenant's jobs take of Redis
-- KEYS[4]  record    string  "<digest> <job id>" of an Idempotency-Key; absent without one
-- ARGV[1]  id        string  id the job will have
-- ARGV[2]  lease     ms      how long an unaccepted booking lives
-- ARGV[3]  bytes     that it will take beyond what every job does
-- ARGV[4]  most      bytes that the tenant's jobs may take as full as Redis is, '0' for any number
-- ARGV[5]  digest    string  of the request, with KEYS[4]
-- ARGV[6]  keep      ms      how long the key is remembered, with KEYS[4]
-- ARGV[7]  fresh     string  '1' when it is a new job whatever the record says, with KEYS[4]
--
-- Returns {1, id, 1, 0} when booked anew; {0 or -1, id, reserved, 0} as find_first says of the key;
-- {-2, id, 0, held} when the tenant's jobs, which take held bytes, would take more than they may.
-- @include clock
-- @include booking
-- @include stored
local bytes = tonumber(ARGV[3])
local first = ARGV[7] ~= '1' and find_first(KEYS[4], KEYS[2], ARGV[5])
if first then return {first[1], first[2], first[3], 0} end
-- This very submit again: the reply was lost.
local is_known = redis.call('ZSCORE', KEYS[1], ARGV[1])
local held = not is_known and share_held(KEYS[1], KEYS[3], bytes, tonumber(ARGV[4]))
-- What is refused must not be taken for the call before it, when it is repeated.
if held and ARGV[7] == '1' and KEYS[4] then redis.call('DEL', KEYS[4]) end
if held then return {-2, ARGV[1], 0, held} end
note_stored(KEYS[3], ARGV[1], bytes)
book(ARGV[1], now_ms(), {
  jobs = KEYS[1], reserved = KEYS[2], record = KEYS[4],
  lease = ARGV[2], digest = ARGV[5], keep = ARGV[6],
})
return {1, ARGV[1], 1, 0}
