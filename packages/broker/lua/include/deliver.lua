-- One line of an inbox message: a copy of a log entry. Data is JSON on one line, so neither tabs
-- nor line feeds can occur in it.
local function inbox_line(id, cursor, type, data)
  return id .. '\t' .. cursor .. '\t' .. type .. '\t' .. data
end

-- Send lines to every ingress in the comma-separated list `watchers`.
local function deliver(slot, watchers, message)
  if not watchers then return end
  for ingress in string.gmatch(watchers, '[^,]+') do
    redis.call('SPUBLISH', slot .. ':inbox:' .. ingress, message)
  end
end
