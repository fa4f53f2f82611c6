-- Takes units of an account's rates and places for one replica, and takes back what it did not
-- use. If one of the three has less than is needed, none gives anything.
-- KEYS  1: rates, a hash of rate -> when it is full (microseconds), when it was last found
--       full, how often it has changed; and of rate:made -> when this bucket was made
--       (microseconds), what was taken of it since, when it was full before that;
--       2: leases, a hash of replica -> places, until when (milliseconds)
-- ARGV  1: the replica; 2: for how many milliseconds it leases places; 3: of what is free
--       beyond what is waited for, one part in so many is given ahead;
--       4: how many places there are, or -1 where they are not limited; 5: it keeps so many;
--       6: fewer are of no use; 7: it wants so many, all told;
--       and for requests, then for tokens: units per minute, or 0 where there is no limit;
--       units that go back; how many microseconds ago they were taken; units used beyond that
--       have not refilled; all units used beyond; fewer are of no use; so many are waited for;
--       so many more are wanted ahead; after how many microseconds the replica believes it to be
--       full, less than none if it is; which bucket that was, or 0 if it knows none; how often
--       that had changed then; what had been taken of it, if the replica was alone since
-- Returns places it holds, places of others; and for both rates: units given, microseconds
-- until it is full, when it was made, how often it has changed, what was taken of it.
--
-- What was taken is told as the time in which it refills. A bucket is never full before all that
-- was taken since some moment has refilled since then. What replicas took alone they tell
-- afterwards and in any order; each tells what it knew before, too, since that was another
-- moment for each of them, and Redis may have lost what it knew itself.
local MINUTE = 60000000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function number(i)
  return tonumber(ARGV[i])
end

local function whole(x)
  return string.format('%.0f', x)
end

-- A bucket after what went back and what was used beyond.
local function bucket(name, at)
  local full_at, found, changed = now, 0, 0
  local made, taken, base = now, 0, 0
  local kept = redis.call('HMGET', KEYS[1], name, name .. ':made')
  if kept[1] then
    local a, b, c = string.match(kept[1], '^(%S+) (%S+) (%S+)$')
    full_at, found, changed = tonumber(a), tonumber(b), tonumber(c)
  end
  if kept[2] then
    local a, b, c = string.match(kept[2], '^(%S+) (%S+) (%S+)$')
    made, taken, base = tonumber(a), tonumber(b), tonumber(c)
  end
  local believed, known, taken_then = now + number(at + 8), number(at + 9), number(at + 11)
  if known > 0 and known ~= made then
    -- It knew a bucket that is lost. All that was taken of this one was taken after that.
    base = math.max(base, believed)
  elseif changed < number(at + 10) then
    -- It is an older copy of the bucket that the replica knew. From now on it is another one.
    full_at = math.max(full_at, believed)
    made, taken, base, changed = now, 0, 0, number(at + 10)
  elseif taken_then then
    base = math.max(base, believed - taken_then)
  end
  local worth = MINUTE / number(at)
  if found <= now - number(at + 2) then
    -- Otherwise it had refilled, and whoever found it full could have what goes back.
    full_at = full_at - number(at + 1) * worth
    taken = taken - number(at + 1) * worth
  end
  taken = taken + number(at + 4) * worth
  full_at = math.max(full_at, now) + number(at + 3) * worth
  full_at = math.min(math.max(full_at, base + taken), now + 60 * MINUTE)
  local free = math.max(0, math.floor((now + MINUTE - full_at) / worth + 1e-6))
  return {
    full_at = full_at,
    found = found,
    changed = changed + 1,
    made = made,
    taken = taken,
    base = base,
    worth = worth,
    free = free,
  }
end

local held, others = number(5), 0
if number(4) >= 0 then
  local all = redis.call('HGETALL', KEYS[2])
  for i = 1, #all, 2 do
    local places, till = string.match(all[i + 1], '^(%d+) (%d+)$')
    if all[i] == ARGV[1] or tonumber(till) <= now / 1000 then
      redis.call('HDEL', KEYS[2], all[i])
    else
      others = others + places
    end
  end
  held = math.max(held, math.min(number(7), number(4) - others))
end
local enough = held >= number(6)

local rates = {}
for i, name in ipairs({ 'requests', 'tokens' }) do
  local at = 12 * i - 4
  rates[i] = number(at) > 0 and bucket(name, at)
  enough = enough and (not rates[i] or rates[i].free >= number(at + 5))
end

if number(4) >= 0 then
  held = enough and held or number(5)
  if held > 0 then
    redis.call('HSET', KEYS[2], ARGV[1], whole(held) .. ' ' .. whole(now / 1000 + ARGV[2]))
    redis.call('PEXPIRE', KEYS[2], ARGV[2])
  end
end

local answer, longest = { whole(held), whole(others) }, 0
for i, name in ipairs({ 'requests', 'tokens' }) do
  local at, given, owed, made, changed, taken = 12 * i - 4, 0, 0, 0, 0, 0
  local rate = rates[i]
  if rate then
    if enough then
      given = math.min(number(at + 6), rate.free)
      given = given + math.min(number(at + 7), math.floor((rate.free - given) / ARGV[3]))
    end
    if given > 0 and rate.full_at <= now then
      rate.found = now
    end
    local full_at = rate.full_at + given * rate.worth
    owed, made, changed = full_at - now, rate.made, rate.changed
    taken = rate.taken + given * rate.worth
    longest = math.max(longest, owed)
    local state = string.format('%.3f %.0f %.0f', full_at, rate.found, changed)
    local since = string.format('%.0f %.3f %.3f', made, taken, rate.base)
    redis.call('HSET', KEYS[1], name, state, name .. ':made', since)
  end
  answer[#answer + 1] = whole(given)
  answer[#answer + 1] = whole(math.ceil(owed))
  answer[#answer + 1] = whole(made)
  answer[#answer + 1] = whole(changed)
  answer[#answer + 1] = whole(taken)
end
if rates[1] or rates[2] then
  -- With some time to spare, in which it is known that nothing was lost.
  redis.call('PEXPIRE', KEYS[1], whole(math.ceil(longest / 1000) + 10000))
end
return answer
