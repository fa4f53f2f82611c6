-- Takes in lines of the audit log that one replica wrote by itself.
-- KEYS  1: head; 2: audit; 3: up to which line each replica's have been taken in
-- ARGV  1: the replica; 2: how many lines are kept; and for each line: its number there, the
--       record
-- Returns the number of its last line that is taken in.
local taken = tonumber(redis.call('HGET', KEYS[3], ARGV[1]) or '0')
for i = 3, #ARGV, 2 do
  local number = tonumber(ARGV[i])
  if number > taken then
    local line = redis.call('HINCRBY', KEYS[1], 'audit', 1)
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], line .. '-0', 'record', ARGV[i + 1])
    taken = number
  end
end
redis.call('HSET', KEYS[3], ARGV[1], taken)
return taken
