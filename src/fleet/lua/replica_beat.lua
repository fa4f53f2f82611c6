-- Writes down that a replica lives and what it says of itself, and takes out those whose time
-- has been over for long.
-- KEYS  1: replicas, a hash of id -> JSON; 2: until when each lives, a sorted set
-- ARGV  1: id; 2: JSON; 3: for how many milliseconds; 4: after how many more
--       nobody remembers it
-- Returns every replica: id, JSON, milliseconds it has left, which is no more than 0 if its
-- time is over, and so on; its own first.
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ms - ARGV[4])) do
  redis.call('HDEL', KEYS[1], id)
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms - ARGV[4])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ms + ARGV[3], ARGV[1])
local living = { ARGV[1], ARGV[2], tonumber(ARGV[3]) }
local left = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
for i = 1, #left, 2 do
  if left[i] ~= ARGV[1] then
    living[#living + 1] = left[i]
    living[#living + 1] = redis.call('HGET', KEYS[1], left[i]) or ''
    living[#living + 1] = left[i + 1] - ms
  end
end
return living
