-- Takes in what a replica has spent of an account's budgets and holds beside that, and lets it
-- hold more if all together stay within them.
-- KEYS  1: a hash of ledger -> for day, week and month: when it began, what was spent; then
--       what is held, until when (milliseconds)
-- ARGV  1: the replica's ledger; 2: for how many milliseconds it holds; 3: of what is free
--       beyond what is waited for, one part in so many is given ahead;
--       4: it keeps so much; 5: less beside that is of no use; 6: so much is waited for;
--       7: so much more is wanted ahead; 8: for how many milliseconds all this is kept;
--       and for day, week and month: when it began, what it has spent, the budget or -1
-- Amounts are pico-dollars; sums above some 9000 dollars are off by a few of them.
-- Returns what it holds, what others have spent of the day, week and month, what others hold.
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function whole(x)
  return string.format('%.0f', x)
end

-- The six, what is held and until when.
local function read(text)
  local numbers = {}
  for number in string.gmatch(text, '%d+') do
    numbers[#numbers + 1] = number
  end
  return numbers
end

local all = redis.call('HGETALL', KEYS[1])
local others, others_held = { 0, 0, 0 }, 0
local own = {}
for i = 1, #all, 2 do
  local numbers = read(all[i + 1])
  local is_own, counts = all[i] == ARGV[1], false
  for period = 1, 3 do
    local began, spent, asked = tonumber(numbers[2 * period - 1]), tonumber(numbers[2 * period]), 6 + 3 * period
    if began >= tonumber(ARGV[asked]) then
      counts = true
      if is_own then
        -- It may know of less than it once told: then it lost that, and it counts all the same.
        own[period] = began == tonumber(ARGV[asked]) and numbers[2 * period]
        others[period] = others[period] + math.max(0, spent - ARGV[asked + 1])
      else
        others[period] = others[period] + spent
      end
    end
  end
  if not is_own then
    if tonumber(numbers[8]) > ms then
      counts = true
      others_held = others_held + numbers[7]
    end
    if not counts then
      redis.call('HDEL', KEYS[1], all[i])
    end
  end
end

local free = math.huge
local text = ''
for period = 1, 3 do
  local asked = 6 + 3 * period
  local spent, budget = ARGV[asked + 1], tonumber(ARGV[asked + 2])
  if budget >= 0 then
    free = math.min(free, budget - spent - others[period] - others_held - ARGV[4])
  end
  if own[period] and tonumber(own[period]) > tonumber(spent) then
    spent = own[period]
  end
  text = text .. ARGV[asked] .. ' ' .. spent .. ' '
end

local held = tonumber(ARGV[4])
if free >= tonumber(ARGV[5]) then
  local more = math.max(0, math.min(tonumber(ARGV[6]), free))
  held = held + more + math.min(tonumber(ARGV[7]), math.max(0, math.floor((free - more) / ARGV[3])))
end
redis.call('HSET', KEYS[1], ARGV[1], text .. whole(held) .. ' ' .. whole(ms + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[8])
return { whole(held), whole(others[1]), whole(others[2]), whole(others[3]), whole(others_held) }
