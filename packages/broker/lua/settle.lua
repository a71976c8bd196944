#!lua flags=allow-oom
-- Count the usage of one tenant's ended jobs of one model, once each, and give back what they held of
-- their keys' limits.
--
-- KEYS[1]  settled  hash  model code -> place in its outbox up to which all is counted
-- ARGV[1]  tenant  prefix of the tenant's keys
-- ARGV[2]  code
-- ARGV[3]  keep    ms that a day's, or a month's, usage is kept
-- ARGV[4..] per job, in the order they stand in the outbox: ms and sequence of its place, day it
--          ended (UTC, 2026-11-25), key id, model, 1 (0 when it has been counted, and this is the rest
--          of its GPU time), tokens in, tokens out, µs of GPU, cost in billionths; id, and of what it holds the kind ('' when it holds nothing) and the
--          tokens; bytes that are kept of it, '' where nobody knows
--
-- Writes, as `<key id> <what> <model>` -> whole number,
--   <tenant>:usage:<day>    hash  jobs, in, out, gpu, cost
--   <tenant>:month:<month>  hash  `<key id> tokens` and `<key id> cost`, of all models
--
-- and in <tenant>:stored what is kept of those that are in the tenant's list.
--
-- Returns how many were counted. Those up to the place in KEYS[1] were, and are skipped: a crash
-- between this and the outbox' trim brings them again.
-- @include clock
-- @include hold
-- @include stored
local FIELDS = 14
local tenant, code, keep = ARGV[1], ARGV[2], ARGV[3]
local ms, sequence = string.match(redis.call('HGET', KEYS[1], code) or '0-0', '^(%d+)-(%d+)$')
ms, sequence = tonumber(ms), tonumber(sequence)

-- Many jobs of a batch share their counters.
local sums = {}
local function add(key, field, amount)
  amount = tonumber(amount)
  if amount == 0 then return end
  sums[key] = sums[key] or {}
  sums[key][field] = (sums[key][field] or 0) + amount
end

local counted, now = 0, now_ms()
for at = 4, #ARGV, FIELDS do
  local job_ms, job_sequence = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  if job_ms > ms or (job_ms == ms and job_sequence > sequence) then
    ms, sequence, counted = job_ms, job_sequence, counted + 1
    local day, key, model = ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    local jobs = ARGV[at + 5]
    local tokens_in, tokens_out, gpu, cost = ARGV[at + 6], ARGV[at + 7], ARGV[at + 8], ARGV[at + 9]
    local of_day = tenant .. ':usage:' .. day
    add(of_day, key .. ' jobs ' .. model, jobs)
    add(of_day, key .. ' in ' .. model, tokens_in)
    add(of_day, key .. ' out ' .. model, tokens_out)
    add(of_day, key .. ' gpu ' .. model, gpu)
    add(of_day, key .. ' cost ' .. model, cost)
    local of_month = tenant .. ':month:' .. string.sub(day, 1, 7)
    add(of_month, key .. ' tokens', tokens_in + tokens_out)
    add(of_month, key .. ' cost', cost)
    if ARGV[at + 11] ~= '' then
      local hold = {
        key = key, kind = ARGV[at + 11], id = ARGV[at + 10], tokens = ARGV[at + 12], model = model,
      }
      give_back(tenant, hold, tokens_in + tokens_out, now)
    end
    local id, kept = ARGV[at + 10], tonumber(ARGV[at + 13])
    -- A job that was delivered and forgotten meanwhile is in no list.
    if kept and redis.call('ZSCORE', tenant .. ':jobs', id) then
      note_stored(tenant .. ':stored', id, kept - JOB_BYTES)
    end
  end
end

for key, fields in pairs(sums) do
  for field, amount in pairs(fields) do
    redis.call('HINCRBY', key, field, string.format('%.0f', amount))
  end
  redis.call('PEXPIRE', key, keep)
end
if counted > 0 then redis.call('HSET', KEYS[1], code, string.format('%.0f-%.0f', ms, sequence)) end
return counted
