-- Jobs started lately, counted by tens of seconds in a ring of seven hash fields: the present ten
-- and the six before it. Each field holds "<which ten> <count>".
local FLOW_MS = 10000
local FLOW_FIELDS = 7

local function count_start(flow, now)
  local ten = math.floor(now / FLOW_MS)
  local field = ten % FLOW_FIELDS
  local which, count = string.match(redis.call('HGET', flow, field) or '', '^(%d+) (%d+)$')
  if tonumber(which) ~= ten then count = 0 end
  redis.call('HSET', flow, field, string.format('%.0f %.0f', ten, count + 1))
  redis.call('PEXPIRE', flow, FLOW_MS * FLOW_FIELDS)
end

-- How many jobs started since the oldest ten that is remembered began, and how long ago that was,
-- in ms: a queue that began a second ago is not judged by a minute.
local function recent_starts(flow, now)
  local ten = math.floor(now / FLOW_MS)
  local starts, oldest = 0, ten
  for _, value in ipairs(redis.call('HVALS', flow)) do
    local which, count = string.match(value, '^(%d+) (%d+)$')
    if tonumber(which) > ten - FLOW_FIELDS then
      starts = starts + count
      oldest = math.min(oldest, tonumber(which))
    end
  end
  return starts, math.floor(now - oldest * FLOW_MS)
end
