-- Takes a replica out that ends in order.
-- KEYS  1: replicas, a hash of id -> JSON; 2: until when each lives, a sorted set
-- ARGV  1: id
-- Returns 1 if it was there.
redis.call('HDEL', KEYS[1], ARGV[1])
return redis.call('ZREM', KEYS[2], ARGV[1])
