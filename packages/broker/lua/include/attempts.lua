-- What is kept of each attempt for whoever asks what went wrong: two fields of the entry, written at
-- its begin and its end. A queued job that no worker has had keeps nothing.

-- Attempts kept; of a job that was handed back more often, the last ones.
local KEPT_ATTEMPTS = 16

local function begin_attempt(entry, epoch, now, worker)
  redis.call('HSET', entry, 'attempt:' .. epoch, now .. ' ' .. worker)
  if epoch > KEPT_ATTEMPTS then
    local old = epoch - KEPT_ATTEMPTS
    redis.call('HDEL', entry, 'attempt:' .. old, 'attempt_end:' .. old)
  end
end

local function end_attempt(entry, epoch, now, reason, code)
  redis.call('HSET', entry, 'attempt_end:' .. epoch, now .. ' ' .. reason .. ' ' .. code)
end
