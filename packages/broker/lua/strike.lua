#!lua flags=allow-oom
-- Strike jobs off a tenant's list that are no more, with what they took.
--
-- KEYS[1]  jobs    zset
-- KEYS[2]  stored  hash
-- ARGV     ids
--
-- Returns how many were in the list.
-- @include stored
return strike(KEYS[1], KEYS[2], ARGV)
