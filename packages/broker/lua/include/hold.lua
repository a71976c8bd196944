-- @include bucket

-- A hold is what an open job takes of its key's limits: a place among the jobs open at once, and the
-- tokens reserved for it. "<job id> <tokens> <model>" in the zset of its key and kind, so that a hold
-- says what is to be given back; it is there once, so it is given back once.

-- How long a key's buckets outlive the last job that took of them: longer than any may wait and run.
local HOLD_MS = 1209600000

local function name_hold(id, tokens, model)
  return id .. ' ' .. tokens .. ' ' .. model
end

-- Give back what an open job held, but for the tokens that it has used.
--
-- tenant  prefix of the tenant's keys
-- hold    {key, kind, id, tokens, model}
--
-- Returns whether it was held.
local function give_back(tenant, hold, used, now)
  local held = tenant .. ':held:' .. hold.key .. ':' .. hold.kind
  if redis.call('ZREM', held, name_hold(hold.id, hold.tokens, hold.model)) == 0 then return false end
  redis.call('HINCRBY', tenant .. ':owed', hold.key, string.format('%.0f', 0 - hold.tokens))
  -- Lines took nothing of the limits a minute.
  if hold.kind == 'line' then return true end
  local key = tenant .. ':buckets:' .. hold.key
  local buckets = read_buckets(key, {'tokens', 'tokens ' .. hold.model}, nil, now)
  take(key, buckets, {used - hold.tokens, used - hold.tokens}, now, HOLD_MS)
  return true
end
