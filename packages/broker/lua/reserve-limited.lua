-- Book a job with its tenant, if its key's limits allow it.
--
-- KEYS[1]  jobs      zset    job id -> booked at, ms: the tenant's list
-- KEYS[2]  reserved  zset    booking -> lease end, ms: not yet known to be accepted
-- KEYS[3]  buckets   hash    of the key: `requests`, `tokens`, and the same with a model's name
-- KEYS[4]  held      zset    hold -> at, ms: open jobs of the key, of this job's kind
-- KEYS[5]  owed      hash    key id -> tokens reserved for open jobs
-- KEYS[6]  holders   set     key ids that may have holds
-- KEYS[7]  address   hash    bucket `requests` of the caller's address, over all the tenant's keys
-- KEYS[8]  stored    hash    what the tenant's jobs take of Redis
-- KEYS[9]  record    string  "<digest> <job id>" of an Idempotency-Key; absent without one
-- ARGV[1..4]   id, lease, digest, keep: as reserve has them
-- ARGV[5]  tenant    prefix of the tenant's keys
-- ARGV[6]  key       id of the key
-- ARGV[7]  model     name
-- ARGV[8]  tokens    to reserve
-- ARGV[9..16]  limits, '0' for none: requests and tokens a minute of the key, the same of the key for
--              this model, requests a minute of the address, jobs open at once, tokens a month, cost a
--              month in billionths
-- ARGV[17] month     UTC, as 2026-11, by the caller's clock: it decides once a month
-- ARGV[18] holds     '1' when the key has limits, '' when only the address has
-- ARGV[19] fresh     '1' when it is a new job whatever the record says
-- ARGV[20] bytes     that it will take of Redis beyond what every job does
-- ARGV[21] most      bytes that the tenant's jobs may take as full as Redis is, '0' for any number
--
-- Returns {verdict, id, reserved, reason, wait, and limit, remaining, reset of each bucket of the key:
-- requests, tokens, requests of this model, tokens of this model}. The first three as in reserve, or {-2, id, 0} when a limit forbids it, by the
-- reason: requests | tokens | address (wait = ms until it would be let in; -1 = never, it is more
-- than the limit), jobs, month_tokens, month_cost, memory (wait = bytes that the tenant's jobs take).
-- Resets are ms until a bucket is full, limits 0 where there is none. What is refused, or has its job
-- already, takes nothing.
-- @include clock
-- @include booking
-- @include hold
-- @include budget
-- @include stored
local id, tenant, key, model, tokens = ARGV[1], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])
local most_open, month_tokens, month_cost = tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16])
local bytes, now = tonumber(ARGV[20]), now_ms()

local of_key = read_buckets(KEYS[3], {'requests', 'tokens', 'requests ' .. model, 'tokens ' .. model},
  {ARGV[9], ARGV[10], ARGV[11], ARGV[12]}, now)
local amounts = {1, tokens, 1, tokens}
local of_address = ARGV[13] ~= '0' and read_buckets(KEYS[7], {'requests'}, {ARGV[13]}, now) or {false}

-- The longest wait of all, since it must be over for each; never is longer than any.
local function longest_wait()
  local longest, reason = 0, nil
  local function look(bucket, amount, name)
    if not bucket or longest == -1 then return end
    local wait = wait_for(bucket, amount)
    if wait == -1 or wait > longest then longest, reason = wait, name end
  end
  for _, i in ipairs({2, 4}) do look(of_key[i], tokens, 'tokens') end
  for _, i in ipairs({1, 3}) do look(of_key[i], 1, 'requests') end
  look(of_address[1], 1, 'address')
  return longest, reason
end

local function month_is_spent()
  return find_spent(tenant, {
    key = key, month = ARGV[17], tokens = tokens, most_tokens = month_tokens, most_cost = month_cost,
  })
end

local function refusal()
  local spent = month_is_spent()
  if spent then return spent, -1 end
  local wait, reason = longest_wait()
  if reason then return reason, wait end
  if most_open > 0 and redis.call('ZCARD', KEYS[4]) >= most_open then return 'jobs', 0 end
  local stored = share_held(KEYS[1], KEYS[8], bytes, tonumber(ARGV[21]))
  if stored then return 'memory', stored end
  return nil
end

local function reply(verdict, reason, wait)
  local told = {verdict[1], verdict[2], verdict[3], reason, wait}
  for _, bucket in ipairs(of_key) do
    told[#told + 1] = bucket and bucket.limit or 0
    told[#told + 1] = bucket and math.max(0, math.floor(bucket.level + ROUNDING)) or 0
    told[#told + 1] = bucket and full_in(bucket) or 0
  end
  return told
end

local first = ARGV[19] ~= '1' and find_first(KEYS[9], KEYS[2], ARGV[3])
if first then return reply(first, '', 0) end
-- This very submit again: all of it was done, and the reply was lost.
if redis.call('ZSCORE', KEYS[1], id) then return reply({1, id, 1}, '', 0) end
-- What is refused must not be taken for the call before it, when it is repeated.
if ARGV[19] == '1' and KEYS[9] then redis.call('DEL', KEYS[9]) end
local reason, wait = refusal()
if reason then return reply({-2, id, 0}, reason, wait) end

take(KEYS[3], of_key, amounts, now, HOLD_MS)
take(KEYS[7], of_address, {1}, now, 0)
if ARGV[18] == '1' then
  redis.call('ZADD', KEYS[4], now, name_hold(id, ARGV[8], model))
  redis.call('SADD', KEYS[6], key)
  redis.call('HINCRBY', KEYS[5], key, ARGV[8])
end
note_stored(KEYS[8], id, bytes)
book(id, now, {
  jobs = KEYS[1], reserved = KEYS[2], record = KEYS[9],
  lease = ARGV[2], digest = ARGV[3], keep = ARGV[4],
})
return reply({1, id, 1}, '', 0)
