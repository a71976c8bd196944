-- Tell which budget of the month does not bear another job of a key: 'month_tokens', 'month_cost' or nil.
--
-- tenant  prefix of the tenant's keys
-- asked   {key, month, tokens, most_tokens, most_cost}: month as 2026-11; tokens that the job may take;
--         most a month, 0 for any number, costs in billionths
local function find_spent(tenant, asked)
  if asked.most_tokens == 0 and asked.most_cost == 0 then return nil end
  local month = tenant .. ':month:' .. asked.month
  local spent = redis.call('HMGET', month, asked.key .. ' tokens', asked.key .. ' cost')
  local owed = tonumber(redis.call('HGET', tenant .. ':owed', asked.key) or 0)
  if asked.most_tokens > 0 and (spent[1] or 0) + owed + asked.tokens > asked.most_tokens then
    return 'month_tokens'
  end
  if asked.most_cost > 0 and tonumber(spent[2] or 0) >= asked.most_cost then return 'month_cost' end
  return nil
end
