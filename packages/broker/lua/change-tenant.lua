#!lua flags=allow-oom
-- Change what is set for a tenant, and say so in the audit log, in one step.
--
-- KEYS[1]  tenants  hash    tenant -> JSON settings
-- KEYS[2]  version  string
-- KEYS[3]  audit    stream
-- ARGV[1]  tenant
-- ARGV[2]  before  JSON as it was read, '' = nothing was ever set
-- ARGV[3]  after   JSON
-- ARGV[4]  entry   JSON for the audit log
-- ARGV[5]  most    tenants there may be
-- ARGV[6]  most    entries the audit log keeps
--
-- Returns 1 when it is done, 2 when it was so already, 0 when another call has changed it since, -1
-- when there is no room for one more.
-- @include registry
local verdict = replace(KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5]))
if verdict == 1 then announce(KEYS[2], KEYS[3], ARGV[4], ARGV[6]) end
return verdict
