-- Gives a lease back.
-- KEYS  1: the lease
-- ARGV  1: who has it
-- Returns 1 if they had it, 0 if they had not.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
return 1
