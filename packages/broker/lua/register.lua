-- Enter a model's name, or renew what is known of it.
--
-- KEYS[1]  models  hash  model name -> JSON {code, version, …}
-- KEYS[2]  codes   hash  code -> the name it was made for
-- ARGV[1]  name
-- ARGV[2]  code   suggested; ignored when the name has one
-- ARGV[3]  owner  name the code stands for: aliases share their model's
-- ARGV[4]  JSON without code and creation
-- ARGV[5]  now, Unix seconds: when a new name is created
-- ARGV[6]  '1' = leave what is known of the name as it is
--
-- Returns the model's code, or '' when the suggestion is another model's: suggest the next.
local known = redis.call('HGET', KEYS[1], ARGV[1])
local before = known and cjson.decode(known)
local code = before and before.code or ARGV[2]

local owner = redis.call('HGET', KEYS[2], code)
if owner and owner ~= ARGV[3] and not known then return '' end
if not owner then redis.call('HSET', KEYS[2], code, ARGV[3]) end
if known and ARGV[6] == '1' then return code end
local created_at = string.format('%.0f', before and before.createdAt or ARGV[5])
redis.call('HSET', KEYS[1], ARGV[1],
  '{"code":"' .. code .. '","createdAt":' .. created_at .. ',' .. string.sub(ARGV[4], 2))
return code
