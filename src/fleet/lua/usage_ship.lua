-- Takes in what a replica has counted: sums, which take the place of the ones before.
-- KEYS  1: up to which batch each replica's usage is counted; 2 and on: days
-- ARGV  1: the replica's ledger; 2: the number of the batch;
--       and for each row: the number of its day among KEYS, when that expires (Unix seconds),
--       its name, its sums
-- Returns 1 if the batch before is here as well, 0 if something was lost.
local before = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
local number = tonumber(ARGV[2])
for i = 3, #ARGV, 4 do
  local day = KEYS[1 + tonumber(ARGV[i])]
  redis.call('HSET', day, ARGV[i + 2], ARGV[i + 3])
  redis.call('EXPIREAT', day, ARGV[i + 1])
end
redis.call('HSET', KEYS[1], ARGV[1], number)
if before == number or before == number - 1 then
  return 1
end
return 0
