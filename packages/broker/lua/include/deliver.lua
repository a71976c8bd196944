-- Longest data that is sent along: Redis cuts off a subscriber that is 32 MB behind, and with it
-- every reader of that ingress.
local COPY_BYTES = 262144

-- One line of an inbox message: a copy of a log entry, or without type and data a word that there
-- is one to be read. Data is JSON on one line, so neither tabs nor line feeds can occur in it.
local function inbox_line(id, cursor, type, data)
  if #data > COPY_BYTES then return id .. '\t' .. cursor .. '\t\t' end
  return id .. '\t' .. cursor .. '\t' .. type .. '\t' .. data
end

-- Send lines to every ingress in the comma-separated list `watchers`.
local function deliver(slot, watchers, message)
  if not watchers then return end
  for ingress in string.gmatch(watchers, '[^,]+') do
    redis.call('SPUBLISH', slot .. ':inbox:' .. ingress, message)
  end
end
