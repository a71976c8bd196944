-- Which run of which Redis this is. After a restart or a failover it is another one, and what the one
-- before did last may be lost. 4 µs. '' where scripts may not ask: one run is then like another, and
-- an epoch that Redis has forgotten may be given again.
local function redis_run()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%x%x%x%x%x%x%x%x)') or ''
end
