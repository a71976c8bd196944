-- @include clock
-- @include deliver
-- @include attempts
-- @include turn

-- A job kept for 0 ms is deleted by whoever delivers its end; this is how long it waits for that.
local UNDELIVERED_MS = 300000

-- How many of the job's watchers, indices and timestamps a script must have read to end it.
local END_FIELDS = {
  'token',
  'epoch', 'next', 'attempts', 'accepted_at', 'first_claimed_at', 'claimed_at', 'first_token_at',
  'retention_ms', 'watchers', 'first_shown_at', 'from', 'owner', 'gpu_ms',
  'turn', 'version', 'batch',
}

-- Ends that nobody fetches are kept for so long, and so many of a batch: its batcher has no more lines open.
local ENDED_MS = 3600000
local MOST_ENDED = 10000

local function at(name, value)
  if not value then return '' end
  return ',"' .. name .. '":' .. value
end

-- What a key takes, in bytes; 0 of one that is not there, and of a Redis that does not tell.
local function bytes_of(key)
  local bytes = redis.pcall('MEMORY', 'USAGE', key, 'SAMPLES', 0)
  return type(bytes) == 'number' and bytes or 0
end

-- Half a token for each of the prompt, which is read many at a time, and never less than a job costs:
-- as cost.ts reckons what is expected.
local PROMPT_SHARE = 0.5
local LEAST_COST = 16

-- What a job that has started took of an engine. Without the engine's count it is at least what it has
-- shown: less than it was charged is not given back then.
local function cost_of(outcome, owner, shown, charged)
  local usage = cjson.decode(outcome).usage
  if type(usage) == 'table' then
    local output = tonumber(usage.completion_tokens) or 0
    return math.max(LEAST_COST, math.floor(usage.prompt_tokens * PROMPT_SHARE + output + 0.5))
  end
  local prompt = owner and cjson.decode(owner).prompt or 0
  return math.max(charged, prompt * PROMPT_SHARE + shown)
end

local function is_response(owner)
  return owner and cjson.decode(owner).response == true
end

-- Give the job its one terminal entry, and take it out of everything that lists open jobs.
--
-- job      {id, slot, entry, log, open, deadline, attached}: names and keys; attempt_end where the
--          attempt that holds it ends in another way than the job
-- status   completed | failed | cancelled | expired
-- outcome  JSON: what the worker or the ledger has to say about the end
-- entries  flat list of index, type, data: output that came with the end; may be empty
--
-- The request of a completed job goes, where it is a field of its own: such a job is never run again.
-- Responses show theirs.
--
-- What is to be done after the end is left to the outbox, in the same step: the entry may be gone by
-- then. A job of a Headrace that knew no owners leaves nothing.
--
-- The caller has checked that the job is open and that it may end it.
local function end_job(job, status, outcome, entries)
  local now = now_ms()
  local field = {}
  for i, value in ipairs(redis.call('HMGET', job.entry, unpack(END_FIELDS))) do
    field[END_FIELDS[i]] = value
  end

  local epoch = field.epoch or '0'
  local index = tonumber(field.next or 1)
  local first_token_at = field.first_token_at
  local lines = {}
  for i = 1, #entries, 3 do
    local cursor = epoch .. '-' .. entries[i]
    redis.call('XADD', job.log, cursor, entries[i + 1], entries[i + 2])
    lines[#lines + 1] = inbox_line(job.id, cursor, entries[i + 1], entries[i + 2])
    first_token_at = first_token_at or now
    index = tonumber(entries[i]) + 1
  end

  local data = '{"at":{"accepted":' .. field.accepted_at
    .. at('first_claimed', field.first_claimed_at)
    .. at('claimed', field.claimed_at)
    .. at('first_token', first_token_at)
    .. at('first_shown', field.first_shown_at)
    .. ',"ended":' .. now
    .. '},"attempts":' .. (field.attempts or 0)
    .. ',"outcome":' .. outcome .. '}'
  local cursor = epoch .. '-' .. index
  redis.call('XADD', job.log, cursor, status, data)
  lines[#lines + 1] = inbox_line(job.id, cursor, status, data)

  redis.call('HSET', job.entry, 'state', status, 'next', index + 1, 'end', data)
  redis.call('HDEL', job.entry, 'token', 'attached', 'prompt_ids')
  if status == 'completed' and not is_response(field.owner) then
    redis.call('HDEL', job.entry, 'request')
  end
  if field.token then end_attempt(job.entry, epoch, now, job.attempt_end or status, '') end
  local turns, turn = job.slot .. ':turns:' .. field.version, read_turn(field.turn)
  if field.first_claimed_at then
    local cost = cost_of(outcome, field.owner, index - 1 + (field.from or 0), turn.cost)
    correct_turn(turns, turn, field.accepted_at, cost)
    settle_head(turns, job.slot .. ':q:' .. field.version .. ':prioritized', job.slot, turn.class)
  else
    return_turn(turns, turn, field.accepted_at)
  end
  redis.call('ZREM', job.open, job.id)
  redis.call('ZREM', job.deadline, job.id)
  redis.call('ZREM', job.attached, job.id)
  if field.owner then
    redis.call('XADD', job.slot .. ':outbox', '*', 'job', job.id, 'owner', field.owner,
      'status', status, 'shown', index - 1 + (field.from or 0), 'gpu_ms', field.gpu_ms or '0', 'end', data,
      'kept', bytes_of(job.entry) + bytes_of(job.log))
  end

  -- A hint for the batcher, so that it need not ask: a Headrace that knew no batches leaves none.
  if field.batch then
    local ended = job.slot .. ':ended:' .. field.batch
    redis.call('RPUSH', ended, job.id)
    redis.call('LTRIM', ended, 0 - MOST_ENDED, -1)
    redis.call('PEXPIRE', ended, ENDED_MS)
  end

  local keep_ms = math.floor(math.max(tonumber(field.retention_ms), 0))
  if keep_ms == 0 then keep_ms = UNDELIVERED_MS end
  redis.call('PEXPIRE', job.entry, keep_ms)
  redis.call('PEXPIRE', job.log, keep_ms)
  deliver(job.slot, field.watchers, table.concat(lines, '\n'))
end

-- Name the keys that every script that may end a job takes, in this order, as KEYS[1..5].
local function named_job(id, slot)
  return {
    id = id, slot = slot,
    entry = KEYS[1], log = KEYS[2], open = KEYS[3], deadline = KEYS[4], attached = KEYS[5],
  }
end
