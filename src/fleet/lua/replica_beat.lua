-- Writes down that a replica lives and what it says of itself, and takes out those whose time
-- is over.
-- KEYS  1: replicas, a hash of id -> JSON; 2: until when each lives, a sorted set
-- ARGV  1: id; 2: JSON; 3: for how many milliseconds
-- Returns every living replica: id, JSON, and so on; its own first.
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ms)) do
  redis.call('HDEL', KEYS[1], id)
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ms + ARGV[3], ARGV[1])
local living = { ARGV[1], ARGV[2] }
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if id ~= ARGV[1] then
    living[#living + 1] = id
    living[#living + 1] = redis.call('HGET', KEYS[1], id) or ''
  end
end
return living
