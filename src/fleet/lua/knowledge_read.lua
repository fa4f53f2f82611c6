-- Reads what every replica believes.
-- KEYS  1: what each replica believes, a hash; 2: when each wrote that, a sorted set
-- Returns of each replica: its name, how many milliseconds ago it wrote, what it believes,
-- packed, or '' if that is gone.
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local known = {}
local written = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
for i = 1, #written, 2 do
  known[#known + 1] = written[i]
  known[#known + 1] = math.max(0, ms - written[i + 1])
  known[#known + 1] = redis.call('HGET', KEYS[1], written[i]) or ''
end
return known
