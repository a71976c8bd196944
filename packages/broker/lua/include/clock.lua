-- Redis' own clock, ms since the epoch to the microsecond, as text: processes' clocks may differ,
-- and Lua's own number formatting would add digits that were never measured.
local function now_ms()
  local time = redis.call('TIME')
  return string.format('%.3f', time[1] * 1000 + time[2] / 1000)
end
