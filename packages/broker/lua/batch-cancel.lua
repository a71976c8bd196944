#!lua flags=allow-oom
-- Have a batch end with what it has done. Whoever runs it is told with its next word.
--
-- KEYS[1]  batch   hash
-- ARGV[1]  tenant  string  whose it must be
--
-- Returns its status from now on, '' when there is no such batch of the tenant's. One that is
-- neither cancelling nor cancelled then can not be cancelled.
-- @include clock
local field = redis.call('HMGET', KEYS[1], 'tenant', 'status')
if field[1] ~= ARGV[1] then return '' end
if field[2] ~= 'validating' and field[2] ~= 'in_progress' then return field[2] end
redis.call('HSET', KEYS[1], 'status', 'cancelling', 'cancelling_at', now_ms())
return 'cancelling'
