-- Keeps what a replica believes, in the place of what it believed before, and tells it.
-- KEYS  1: what each replica believes, a hash; 2: when each wrote that, a sorted set
-- ARGV  1: the replica; 2: for how many milliseconds it is kept; 3: what it believes, packed;
--       4: the channel; 5 and on: what is told there
-- Returns how many replicas there are.
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ms - ARGV[2])) do
  redis.call('HDEL', KEYS[1], old)
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms - ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], ms, ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
for i = 5, #ARGV do
  redis.call('PUBLISH', ARGV[4], ARGV[i])
end
return redis.call('ZCARD', KEYS[2])
