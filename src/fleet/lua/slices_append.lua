-- Puts slices at the end of those that a replica has measured, tells them, and takes out
-- those that are too old.
-- KEYS  1: the replica's slices, a stream
-- ARGV  1: for how many milliseconds they are kept; 2: how many entries at most; 3: the
--       channel; 4 and on: messages with slices
-- Returns how many entries there are.
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
for i = 4, #ARGV do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', '', ARGV[i])
  redis.call('PUBLISH', ARGV[3], ARGV[i])
end
-- By hand, since servers before 6.2 cannot trim by time.
repeat
  local old = redis.call('XRANGE', KEYS[1], '-', ms - ARGV[1], 'COUNT', 100)
  for _, entry in ipairs(old) do
    redis.call('XDEL', KEYS[1], entry[1])
  end
until #old < 100
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('XLEN', KEYS[1])
