-- Jobs started lately, counted by tens of seconds in a ring of seven hash fields: the present ten
-- and the six before it. Each field holds "<which ten> <starts of class 1> <of 2> <of 3>".
local FLOW_MS = 10000
local FLOW_FIELDS = 7

local function count_start(flow, now, class)
  local ten = math.floor(now / FLOW_MS)
  local field = ten % FLOW_FIELDS
  local which, one, two, three = string.match(redis.call('HGET', flow, field) or '', '^(%d+) (%d+) (%d+) (%d+)$')
  local starts = tonumber(which) == ten and {one, two, three} or {0, 0, 0}
  starts[class] = starts[class] + 1
  redis.call('HSET', flow, field, string.format('%.0f %.0f %.0f %.0f', ten, starts[1], starts[2], starts[3]))
  redis.call('PEXPIRE', flow, FLOW_MS * FLOW_FIELDS)
end

-- How many jobs started since the oldest ten that is remembered began, how many of them of classes
-- before this one, and how long ago that was, in ms: a queue that began a second ago is not judged by
-- a minute.
local function recent_starts(flow, now, class)
  local ten = math.floor(now / FLOW_MS)
  local starts, sooner, oldest = 0, 0, ten
  for _, value in ipairs(redis.call('HVALS', flow)) do
    local which, one, two, three = string.match(value, '^(%d+) (%d+) (%d+) (%d+)$')
    if tonumber(which or 0) > ten - FLOW_FIELDS then
      starts = starts + one + two + three
      if class > 1 then sooner = sooner + one end
      if class > 2 then sooner = sooner + two end
      oldest = math.min(oldest, tonumber(which))
    end
  end
  return starts, sooner, math.floor(now - oldest * FLOW_MS)
end
