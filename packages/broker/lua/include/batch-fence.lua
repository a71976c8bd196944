-- @include batch-keys

-- Whether the batch is still whose epoch it is: nobody has claimed it since, and it has not ended.
local TERMINAL = {completed = true, failed = true, expired = true, cancelled = true}

local function holds(batch, epoch)
  local field = redis.call('HMGET', batch, 'epoch', 'status')
  return field[1] == epoch and not TERMINAL[field[2]], field[2], field[1]
end

-- Set the pairs of field and value that begin at ARGV[first].
local function set_fields(batch, first, pair_count)
  for pair = 0, pair_count - 1 do
    redis.call('HSET', batch, ARGV[first + 2 * pair], ARGV[first + 2 * pair + 1])
  end
end
