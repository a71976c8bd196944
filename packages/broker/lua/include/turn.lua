-- Whose turn it is: BullMQ's set of waiting jobs in fair order (ADR-012).
--
-- The set orders by score. A class is BullMQ's priority number, which takes the upper digits: 1 before
-- 2 before 3. The lower ones, where BullMQ counts arrivals, hold the job's virtual time instead:
-- start-time fair queueing between the tenants of a class, each of them one lane. Virtual time is
-- counted in tokens, divided by the tenant's weight.
--
-- turns  hash  of one queue: began, the instant (ms) that its virtual times count from; accepted_at,
--              of the last job; v<class>, the virtual time of the job started last; owed<class>, the
--              tokens' worth of starts that a lower class is behind its share; crowd, the fields at
--              which idle lanes are looked for; "<class> <tenant>", where that lane's next job begins;
--              "late <class> <tenant>", by how much that lane's ended jobs took more than they were charged
-- turn   text  in a job's entry: "<class> <start> <step> <cost> <tenant>"; beside it `late`, what of its
--              lane's lateness its start has in it: nothing where there is none

-- Scores of one class: what BullMQ multiplies a priority by.
local BAND = 4294967296
-- The class of batch work.
local BATCH = 3
-- The last score of a class, a hair before the next class.
local LAST = BAND - 1
-- Virtual time per unit of score. A score has 51 bits below the class: 2^49 tokens, and quarters.
local SCALE = 131072
local LEAST_STEP = 0.25
-- Past this, half of what a band holds, a queue starts from zero as soon as it is empty.
local FAR = 281474976710656
-- And before that, when no job has come for so long: those on their way to the queue are in it by then.
local QUIET_MS = 60000
-- Lanes are looked through for idle ones when there are twice as many as were left, and at first this
-- many; each may have two fields.
local FIRST_CROWD = 64
-- Jobs that one look at the head of a class moves back at the most.
local MOST_MOVED = 32
-- Of what is started, in tokens, a lower class gets at least this share while it waits.
local SHARE = {[2] = 0.2, [3] = 0.05}

local function score_of(class, start)
  return string.format('%.17g', class * BAND + math.min(start / SCALE, LAST))
end

-- An entry of an earlier version has none: that job goes with the standard ones, and is charged nothing.
local function read_turn(text)
  local class, start, step, cost, tenant = string.match(text or '2 1 0 0 ', '^(%d) (%S+) (%S+) (%S+) (.*)$')
  return {
    class = tonumber(class), start = tonumber(start), step = tonumber(step), cost = tonumber(cost),
    lane = class .. ' ' .. tenant,
  }
end

local function write_turn(turn)
  return string.format('%d %.17g %.17g %.17g %s', turn.class, turn.start, turn.step, turn.cost,
    string.sub(turn.lane, 3))
end

-- How many jobs go before a score, and how many of them are of its class. Those that were taken back
-- from dead workers go before all, of whatever class.
local function count_ahead(prioritized, wait, class, score)
  local peers = redis.call('ZCOUNT', prioritized, class * BAND, '(' .. score)
  local sooner = redis.call('ZCOUNT', prioritized, '-inf', '(' .. class * BAND)
  return redis.call('LLEN', wait) + sooner + peers, peers
end

-- A lane that is where its class is, or behind, is as good as a new one.
local function forget_idle_lanes(turns)
  local fields, reached, idle, left = redis.call('HGETALL', turns), {}, {}, 0
  for i = 1, #fields, 2 do
    local class = string.match(fields[i], '^v(%d)$')
    if class then reached[class] = tonumber(fields[i + 1]) end
  end
  for i = 1, #fields, 2 do
    local class = string.match(fields[i], '^(%d) ')
    if class and tonumber(fields[i + 1]) <= (reached[class] or 1) then
      idle[#idle + 1] = fields[i]
      idle[#idle + 1] = 'late ' .. fields[i]
    elseif class then left = left + 1 end
  end
  for i = 1, #idle, 1000 do redis.call('HDEL', turns, unpack(idle, i, math.min(i + 999, #idle))) end
  redis.call('HSET', turns, 'crowd', left * 4 + FIRST_CROWD)
end

-- Give a new job its turn: where its class is, or behind the jobs of its own lane. Returns it, and how
-- late its lane is by now.
local function take_turn(turns, prioritized, job)
  local lane = job.class .. ' ' .. job.tenant
  local field = redis.call('HMGET', turns, 'accepted_at', 'v' .. job.class, lane, 'crowd', 'late ' .. lane)
  local reached, crowd = tonumber(field[2] or 1), tonumber(field[4] or FIRST_CROWD)
  if field[1] and (tonumber(job.now) - field[1] > QUIET_MS or reached > FAR)
    and redis.call('ZCARD', prioritized) == 0 then
    redis.call('DEL', turns)
    field = {}
    reached = 1
  end
  if not field[1] then redis.call('HSET', turns, 'began', job.now) end
  local start = math.max(reached, tonumber(field[3] or 1))
  local step = math.max(job.cost / job.weight, LEAST_STEP)
  redis.call('HSET', turns, lane, string.format('%.17g', start + step), 'accepted_at', job.now)
  if redis.call('HLEN', turns) > crowd then forget_idle_lanes(turns) end
  local turn = {class = job.class, start = start, step = step, cost = job.cost, lane = lane}
  return write_turn(turn), field[5] or '0'
end

-- Let the first of a class that is behind its share go before all others, one of it at a time.
local function put_first(prioritized, class)
  local head = redis.call('ZRANGEBYSCORE', prioritized, class * BAND, '(' .. (class + 1) * BAND, 'LIMIT', 0, 1)
  if not head[1] then return false end
  if redis.call('ZCOUNT', prioritized, class, class) == 0 then
    redis.call('ZADD', prioritized, 'XX', class, head[1])
  end
  return true
end

-- Have the first of a class be the one whose turn it is. Jobs that were charged too little stand too
-- close, and each is moved back only when it comes to the head: by how late its lane has become since it
-- was given its place.
local function settle_head(turns, prioritized, slot, class)
  for _ = 1, MOST_MOVED do
    local head, score = unpack(redis.call('ZRANGEBYSCORE', prioritized, class * BAND,
      '(' .. (class + 1) * BAND, 'WITHSCORES', 'LIMIT', 0, 1))
    if not head then return end
    local entry = slot .. ':job:' .. head
    local job = redis.call('HMGET', entry, 'turn', 'late', 'accepted_at')
    if not job[1] then return end
    local turn = read_turn(job[1])
    local field = redis.call('HMGET', turns, 'late ' .. turn.lane, 'began')
    local late = (field[1] or 0) - (job[2] or 0)
    if late < LEAST_STEP or not field[2] or tonumber(job[3]) < tonumber(field[2]) then return end
    -- What was handed back, or put first, has had its turn.
    if tonumber(score) ~= tonumber(score_of(class, turn.start)) then return end
    turn.start = turn.start + late
    redis.call('HSET', entry, 'turn', write_turn(turn), 'late', field[1])
    redis.call('ZADD', prioritized, 'XX', score_of(class, turn.start), head)
  end
end

-- Take note that a job has started for the first time: virtual time moves on, and a class that is owed
-- as much as this job takes has its turn. A job from before virtual time last began says nothing of where it is.
local function start_turn(turns, prioritized, turn, accepted_at)
  local field = redis.call('HMGET', turns, 'began', 'v' .. turn.class, 'owed2', 'owed3')
  if not field[1] or tonumber(accepted_at) < tonumber(field[1]) then return end
  local owed = {[2] = tonumber(field[3] or 0), [3] = tonumber(field[4] or 0)}
  for class, share in pairs(SHARE) do
    if class == turn.class then
      owed[class] = math.max(owed[class] - turn.cost, -turn.cost)
    else
      owed[class] = owed[class] + turn.cost * share / (1 - share)
    end
    if owed[class] >= turn.cost and not put_first(prioritized, class) then owed[class] = 0 end
  end
  redis.call('HSET', turns, 'v' .. turn.class, string.format('%.17g', math.max(tonumber(field[2] or 1), turn.start)),
    'owed2', owed[2], 'owed3', owed[3])
end

-- Give a lane back what it was charged for a job that never started: its next jobs begin so much
-- sooner.
local function return_turn(turns, turn, accepted_at)
  local field = redis.call('HMGET', turns, 'began', turn.lane)
  if not field[1] or not field[2] or tonumber(accepted_at) < tonumber(field[1]) then return end
  redis.call('HSET', turns, turn.lane, string.format('%.17g', math.max(field[2] - turn.step, 1)))
end

-- Charge a lane what its job, which has ended, took more than was thought, or give it back what it took
-- less: its next jobs begin so much later, or sooner, also those that wait (settle_head).
local function correct_turn(turns, turn, accepted_at, cost)
  if turn.cost == 0 or cost == turn.cost then return end
  local field = redis.call('HMGET', turns, 'began', turn.lane, 'late ' .. turn.lane)
  if not field[1] or tonumber(accepted_at) < tonumber(field[1]) then return end
  local late = (cost - turn.cost) * turn.step / turn.cost
  -- A lane that was forgotten had nothing behind this job.
  local ends = tonumber(field[2] or turn.start + turn.step) + late
  redis.call('HSET', turns, turn.lane, string.format('%.17g', math.max(ends, 1)),
    'late ' .. turn.lane, string.format('%.17g', (field[3] or 0) + late))
end
