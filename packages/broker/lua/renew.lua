#!lua flags=allow-oom
-- Renew a worker's locks on the jobs it holds, also while Redis is full: BullMQ's own script sets each
-- lock anew, which a full Redis refuses, and jobs that run well would be given to others.
--
-- KEYS[1]    stalled  set  BullMQ's: jobs that are taken back at its next check
-- KEYS[2..]  lock of each job
-- ARGV[1]    ms for which they are held from now on
-- ARGV[2..]  per job: id, token that its lock must have
--
-- Returns the ids whose lock is gone, or another's.
local lost = {}
for i = 2, #KEYS do
  local id, token = ARGV[i * 2 - 2], ARGV[i * 2 - 1]
  if redis.call('GET', KEYS[i]) == token then
    redis.call('PEXPIRE', KEYS[i], ARGV[1])
    redis.call('SREM', KEYS[1], id)
  else
    lost[#lost + 1] = id
  end
end
return lost
