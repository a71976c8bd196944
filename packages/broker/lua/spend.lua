#!lua flags=allow-oom
-- Have the GPU's time counted of an attempt whose job was cancelled while it ran: only its worker
-- knows it, and the job has been settled by then, or is about to be.
--
-- KEYS[1]  entry   hash
-- KEYS[2]  outbox  stream
-- ARGV[1]  id
-- ARGV[2]  epoch   of the attempt
-- ARGV[3]  gpu     ms
--
-- Returns 1 when it will be counted; 0 when it has been, when the job ended otherwise, or is gone.
local field = redis.call('HMGET', KEYS[1], 'state', 'epoch', 'owner', 'end', 'spent')
if field[1] ~= 'cancelled' or field[2] ~= ARGV[2] or not field[3] or field[5] then return 0 end
redis.call('HSET', KEYS[1], 'spent', 1)
redis.call('XADD', KEYS[2], '*', 'job', ARGV[1], 'owner', field[3], 'status', field[1],
  'shown', 0, 'gpu_ms', ARGV[3], 'end', field[4], 'rest', 1)
return 1
