-- Which run of which Redis this is. After a restart or a failover it is another one, and what the one
-- before did last may be lost. 4 µs.
local function redis_run()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x%x%x%x%x%x%x%x)') or ''
end
