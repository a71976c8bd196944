-- What changing a key and changing a tenant have in common.

-- Put `after` in the place of `before`; '' = no such field. Returns 1 when that is done, 2 when it was
-- so already (the call comes a second time), 0 when another call has changed it meanwhile, -1 when
-- there is no room for one more.
local function replace(hash, field, before, after, most)
  local now = redis.call('HGET', hash, field) or ''
  if now == after then return 2 end
  if now ~= before then return 0 end
  if before == '' and redis.call('HLEN', hash) >= most then return -1 end
  if after == '' then
    redis.call('HDEL', hash, field)
  else
    redis.call('HSET', hash, field, after)
  end
  return 1
end

-- Have every ingress read anew, and keep what was done. The version is an instant: one that was lost
-- with Redis' last second cannot come again.
local function announce(version, audit, entry, most)
  local time = redis.call('TIME')
  redis.call('SET', version, time[1] .. '.' .. time[2])
  redis.call('XADD', audit, 'MAXLEN', '~', most, '*', 'entry', entry)
end
