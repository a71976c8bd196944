-- Book a job with its tenant, for a key that has no limits.
--
-- KEYS[1]  jobs      zset    job id -> booked at, ms: the tenant's list
-- KEYS[2]  reserved  zset    booking -> lease end, ms: not yet known to be accepted
-- KEYS[3]  record    string  "<digest> <job id>" of an Idempotency-Key; absent without one
-- ARGV[1]  id        string  id the job will have
-- ARGV[2]  lease     ms      how long an unaccepted booking lives
-- ARGV[3]  digest    string  of the request, with KEYS[3]
-- ARGV[4]  keep      ms      how long the key is remembered, with KEYS[3]
-- ARGV[5]  fresh     string  '1' when it is a new job whatever the record says, with KEYS[3]
--
-- Returns {1, id, 1} when booked anew, else what find_first says of the key.
-- @include clock
-- @include booking
local first = ARGV[5] ~= '1' and find_first(KEYS[3], KEYS[2], ARGV[3])
if first then return first end
book(ARGV[1], now_ms(), {
  jobs = KEYS[1], reserved = KEYS[2], record = KEYS[3],
  lease = ARGV[2], digest = ARGV[3], keep = ARGV[4],
})
return {1, ARGV[1], 1}
