-- @include clock

-- What batches and files are kept in: one slot, so that every change of them is one step. `slot` is
-- the begin of every key.
local function batch_keys(slot)
  local function named(...) return table.concat({slot, ...}, ':') end
  return {
    open = named('open'),
    ended = named('ended'),
    expiry = named('file-expiry'),
    removals = named('removals'),
    batch = function(id) return named('batch', id) end,
    segments = function(id) return named('segments', id) end,
    batches_of = function(tenant) return named('batches', tenant) end,
    open_of = function(tenant) return named('open-of', tenant) end,
    file = function(id) return named('file', id) end,
    uses = function(id) return named('file-uses', id) end,
    files_of = function(tenant) return named('files', tenant) end,
  }
end

-- Whether a file's owner may still see it.
local function is_there(file, tenant, now)
  local field = redis.call('HMGET', file, 'tenant', 'expires_at')
  if field[1] ~= tenant then return false end
  return field[2] == '' or tonumber(field[2]) > now
end

-- Whether an object is still spared by who sweeps: its removal is planned, and not due.
local function is_spared(keys, object, now)
  local due_at = redis.call('ZSCORE', keys.removals, object)
  return due_at and tonumber(due_at) > now
end

-- Enter a file whose object is whole: nobody is to remove that any more.
--
-- file  {id, tenant, object, spec, lifetime}: lifetime in ms, '' = for ever
local function enter_file(keys, file, now)
  local expires_at = file.lifetime == '' and ''
    or string.format('%.3f', now + tonumber(file.lifetime))
  redis.call('HSET', keys.file(file.id), 'tenant', file.tenant, 'spec', file.spec,
    'created_at', string.format('%.3f', now), 'expires_at', expires_at)
  redis.call('ZADD', keys.files_of(file.tenant), string.format('%.3f', now), file.id)
  if expires_at ~= '' then redis.call('ZADD', keys.expiry, expires_at, file.id) end
  redis.call('ZREM', keys.removals, file.object)
end

-- Take a file out of everything; its object is to be removed.
local function drop_file(keys, id, tenant, object, now)
  redis.call('DEL', keys.file(id))
  redis.call('ZREM', keys.files_of(tenant), id)
  redis.call('ZREM', keys.expiry, id)
  redis.call('ZADD', keys.removals, string.format('%.3f', now), object)
end
