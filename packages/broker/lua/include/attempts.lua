-- What is kept of each attempt for whoever asks what went wrong: two fields of the entry, written at
-- its begin and its end. A queued job that no worker has had keeps nothing.

-- Attempts kept; of a job that was handed back more often, the last ones.
local KEPT_ATTEMPTS = 16

-- Epochs leap where Redis has forgotten some, so the oldest are looked for rather than counted back
-- to; only a job that had many attempts, or a leap, pays for that.
local function forget_oldest(entry)
  local epochs = {}
  for _, name in ipairs(redis.call('HKEYS', entry)) do
    epochs[#epochs + 1] = tonumber(string.match(name, '^attempt:(%d+)$'))
  end
  table.sort(epochs)
  for at = 1, #epochs - KEPT_ATTEMPTS do
    redis.call('HDEL', entry, 'attempt:' .. epochs[at], 'attempt_end:' .. epochs[at])
  end
end

-- from   how many output entries of earlier attempts stand, for this one to go on from
-- reset  whether output that was shown is void from here on
local function begin_attempt(entry, epoch, now, worker, from, reset)
  local begin = now .. ' ' .. worker .. ' ' .. from .. (reset and ' reset' or '')
  redis.call('HSET', entry, 'attempt:' .. epoch, begin)
  if epoch > KEPT_ATTEMPTS then forget_oldest(entry) end
end

local function end_attempt(entry, epoch, now, reason, code)
  redis.call('HSET', entry, 'attempt_end:' .. epoch, now .. ' ' .. reason .. ' ' .. code)
end
