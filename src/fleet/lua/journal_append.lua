-- Puts a step at the end of the journal, and does to the tables what it says.
-- KEYS  1: head; 2: journal; 3: audit; 4 and on: the tables
-- ARGV  1: the tip that it comes after; 2: the tip that it makes; 3: its number; 4: its text;
--       5: how many steps are kept; 6: the channel; 7: what is told there;
--       8: the revision that it makes, or ''; 9: the form of what is written;
--       10: its line in the audit log, or ''; 11: how many lines are kept;
--       and for each row: the number of its table, what is done ('put', 'remove', 'clear'),
--       its name, its text
-- Returns 1 if it is there now, 0 if the journal stands elsewhere.
local tip = redis.call('HGET', KEYS[1], 'tip') or ''
if tip == ARGV[2] then
  return 1
end
if tip ~= ARGV[1] then
  return 0
end
for i = 12, #ARGV, 4 do
  local key, what = KEYS[3 + tonumber(ARGV[i])], ARGV[i + 1]
  if what == 'put' then
    redis.call('HSET', key, ARGV[i + 2], ARGV[i + 3])
  elseif what == 'remove' then
    redis.call('HDEL', key, ARGV[i + 2])
  else
    redis.call('DEL', key)
  end
end
redis.call('HSET', KEYS[1], 'tip', ARGV[2], 'number', ARGV[3], 'form', ARGV[9])
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[1], 'revision', ARGV[8])
end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
redis.call('HDEL', KEYS[2], ARGV[3] - ARGV[5])
if ARGV[10] ~= '' then
  local line = redis.call('HINCRBY', KEYS[1], 'audit', 1)
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[11], line .. '-0', 'record', ARGV[10])
end
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 1
