-- Begins a journal with tables that were brought along, if there is none.
-- KEYS  1: head; 2 and on, in pairs: a key, and the one that was brought for it
-- ARGV  1: the tip; 2: its number; 3: the revision; 4: the form of what is written;
--       5: how many lines of the audit log there are; 6: the channel; 7: what is told there
-- Returns 1 if it has begun with these, 0 if there is one already.
if redis.call('HEXISTS', KEYS[1], 'tip') == 1 then
  for i = 3, #KEYS, 2 do
    redis.call('DEL', KEYS[i])
  end
  return 0
end
for i = 2, #KEYS, 2 do
  redis.call('DEL', KEYS[i])
  if redis.call('EXISTS', KEYS[i + 1]) == 1 then
    redis.call('RENAME', KEYS[i + 1], KEYS[i])
    redis.call('PERSIST', KEYS[i])
  end
end
local now = redis.call('TIME')
redis.call('HSET', KEYS[1], 'tip', ARGV[1], 'number', ARGV[2], 'revision', ARGV[3], 'form', ARGV[4],
  'audit', ARGV[5], 'begun', now[1] * 1000 + math.floor(now[2] / 1000))
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 1
