-- Reads slices that a replica has measured, the newest first.
-- KEYS  1: its slices, a stream
-- ARGV  1: the id of the newest that is wanted, or '+'; 2: how many milliseconds old they are
--       at most; 3: how many entries at most
-- Returns of each entry: its id, how many milliseconds ago it was put there, its message.
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local read = {}
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], ARGV[1], ms - ARGV[2], 'COUNT', ARGV[3])) do
  local id = entry[1]
  read[#read + 1] = id
  read[#read + 1] = math.max(0, ms - tonumber(string.match(id, '^%d+')))
  read[#read + 1] = entry[2][2]
end
return read
