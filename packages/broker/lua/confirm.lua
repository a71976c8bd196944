-- Put a write behind the entries of accepted jobs: a replica that has it has them too.
--
-- KEYS[1]   mark     string  holds nothing anybody reads
-- KEYS[2..] entries  hash    of jobs of one slot
-- ARGV[1]   keep     ms      how long the mark lives
--
-- Returns 1 or 0 for each entry: whether it is here. After a failover it may not be.
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
local found = {}
for i = 2, #KEYS do
  found[i - 1] = redis.call('EXISTS', KEYS[i])
end
return found
