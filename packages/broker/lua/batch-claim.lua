#!lua flags=allow-oom
-- Take an open batch that nobody has, or whose owner has not been heard of for its lease: of the
-- tenant that has the fewest being run, and of its batches the one whose window ends first.
--
-- KEYS[1]  open   zset    batch -> lease end, ms; of one that was never claimed, when it was made
-- ARGV[1]  slot   string  begin of every key
-- ARGV[2]  owner  string
-- ARGV[3]  lease  ms
--
-- Returns {id, epoch, held by others before: 1 or 0}, or {} when there is none. Epochs go on with the
-- clock: none comes twice, even when Redis has forgotten the last.
-- @include batch-keys
local keys = batch_keys(ARGV[1])
-- Batches looked at, oldest first: 2 µs each.
local LOOKED_AT = 2000
local now = tonumber(now_ms())

local held = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now_ms(), '+inf', 'LIMIT', 0, LOOKED_AT)) do
  local tenant = redis.call('HGET', keys.batch(id), 'tenant') or ''
  held[tenant] = (held[tenant] or 0) + 1
end

local best
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms(), 'LIMIT', 0, LOOKED_AT)) do
  local field = redis.call('HMGET', keys.batch(id), 'tenant', 'expires_at')
  if not field[1] then
    redis.call('ZREM', KEYS[1], id)
  else
    local rank = {id = id, held = held[field[1]] or 0, ends = tonumber(field[2])}
    if not best or rank.held < best.held or (rank.held == best.held and rank.ends < best.ends) then
      best = rank
    end
  end
end
if not best then return {} end

local batch = keys.batch(best.id)
local before = tonumber(redis.call('HGET', batch, 'epoch') or 0)
local epoch = string.format('%.0f', math.max(before + 1, math.floor(now)))
redis.call('HSET', batch, 'epoch', epoch, 'owner', ARGV[2])
redis.call('ZADD', KEYS[1], string.format('%.3f', now + tonumber(ARGV[3])), best.id)
return {best.id, epoch, before > 0 and 1 or 0}
