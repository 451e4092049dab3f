-- Limits that several gateways share: what gcra.py decides, in one step on the server. Tests hold the two equal.
--
-- Times are whole microseconds; ARGV[2] is the time in tests, 0 takes the server's own. A bucket is a string, its TAT
-- and when that was written; slots are a sorted set of ids by when they end. Each key goes by itself once it says nothing more.
--
-- reserve  KEYS: reservation, buckets, slots
--          ARGV: id, ms for which the reservation is known, us that a slot lasts, number of buckets,
--                (charge, span, enforced) of each bucket, (limit, enforced) of each slots,
--                if anything is wanted in advance how much of each bucket
--          Returns who refuses (0: nobody, -1: the reservation is there already), us to wait, bits of those waived,
--          the levels of the buckets, and what was taken in advance of each beyond that, as far as there was room.
-- spend    KEYS: besides, budgets
--          ARGV: besides, and nothing in advance: (limit, enforced) of each budget, what is held of each, their number
--          Returns besides what is spent or held of each budget; or -2 and the first of which
--          nothing is known.
-- settle   KEYS: reservation, buckets, slots
--          ARGV: id, ms for which a reservation that is not there must not come any more, number of buckets,
--                (paid, owed) of each bucket
--          Returns whether it was there. What must not come any more gives back what was taken in advance, too.
-- pay      KEYS: besides, budgets
--          ARGV: besides, what was held and what is owed of each budget, when it began and ended, number of budgets
--          What is not there, as the store forgot it or was away, is owed by budgets that were known only after it
--          began and before it ended: what was written down by then has nothing of it.
-- know     KEYS: budgets
--          ARGV: (spent, as of when, ms for which it is known) of each, which counts where nothing is known
-- charge   KEYS: name of the charge, buckets
--          ARGV: ms for which the name is known, charge of each bucket; what is below 0 is given back
--          Returns whether it was new.
-- beat     KEYS: slots
--          ARGV: us that a slot lasts, ids
--          Returns how many slots are taken.
-- free     KEYS: slots
--          ARGV: ids
-- levels   KEYS: buckets, slots, budgets
--          ARGV: number of buckets, number of slots
--          Returns levels of the buckets, how many slots are taken of each, and what is spent or held of each budget,
--          -1 where that is not known. Nothing is taken.

local SLACK = 10000 -- ms for which a bucket is kept after it has drained
local SLOT_WAIT = 1000000
local MOST = 2 ^ 50
local STEP = 1000000 -- us by which a clock is put back without a word: clocks of nodes differ, and are set by little
local HOUR = 3600000000
local KNOWN = 3600000 -- ms
local call, format, max, min = redis.call, string.format, math.max, math.min
local ceil, floor = math.ceil, math.floor
local find, sub = string.find, string.sub

local verb, now = ARGV[1], tonumber(ARGV[2])
if now == 0 then
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
end

local function put(bucket, tat)
  call('SET', bucket, format('%.0f %.0f', tat, now), 'PX', max(ceil((tat - now) / 1000), 0) + SLACK)
end

-- Its TAT by the clock of now, and whether that was put back since by more than a STEP: then the bucket goes on from the
-- level that it had, or its holder would wait for the clock to be there again.
local function stands(bucket)
  local gap = find(bucket, ' ', 1, true)
  if not gap then return tonumber(bucket), false end -- written before times were
  local tat, at = tonumber(sub(bucket, 1, gap)), tonumber(sub(bucket, gap + 1))
  if at - now <= STEP then return tat, false end
  return tat - (at - now), true
end

local function tats(to)
  local found = to < 2 and {} or call('MGET', unpack(KEYS, 2, to))
  for at, bucket in ipairs(found) do
    if bucket then
      local tat, was_put_back = stands(bucket)
      if was_put_back then put(KEYS[1 + at], tat) end
      found[at] = tat
    end
  end
  return found
end

local function taken(slots)
  return call('ZCOUNT', slots, format('(%.0f', now), '+inf')
end

local function renew(slots, lasts)
  call('PEXPIRE', slots, 3 * ceil(lasts / 1000)) -- longer than any slot: whoever has one says so in time
end

-- A budget is a hash: what is `spent`, known `since` when, and by the number of an hour what is held of that. What was
-- held two hours ago counts no more: hardly a request lasts as long, and one that does is charged at its end.
local function spent(budget)
  local known, level = false, 0
  local all = call('HGETALL', budget)
  for at = 1, #all, 2 do
    local name, amount = all[at], tonumber(all[at + 1])
    if name == 'spent' then
      known, level = true, level + amount
    elseif name ~= 'since' then
      if tonumber(name) >= floor(now / HOUR) - 1 then level = level + amount else call('HDEL', budget, name) end
    end
  end
  return known and level
end

if verb == 'reserve' or verb == 'spend' then
  local lasts, buckets = tonumber(ARGV[5]), tonumber(ARGV[6])
  local budgets = verb == 'spend' and tonumber(ARGV[#ARGV]) or 0
  local slots = #KEYS - 1 - buckets - budgets
  local limits, money = 6 + 3 * buckets + 2 * slots, budgets > 0 and tonumber(ARGV[#ARGV - 1]) or 0
  local refused_by, wait, waived = 0, 0, 0
  local reply, charges, held = {}, {}, {}

  for at, tat in ipairs(tats(1 + buckets)) do
    local charge, span = tonumber(ARGV[4 + 3 * at]), tonumber(ARGV[5 + 3 * at])
    local level = tat and max(tat - now, 0) or 0
    local over = level + charge - span
    if over > 0 and charge > 0 then
      if ARGV[6 + 3 * at] ~= '1' then
        waived, charge = waived + 2 ^ (at - 1), 0
      elseif over > wait then
        refused_by, wait = at, over
      end
    end
    charges[at], reply[3 + at] = charge, level
  end
  for at = 1, slots do
    local name, arg = KEYS[1 + buckets + at], 5 + 3 * buckets + 2 * at
    local busy = taken(name)
    if busy < tonumber(ARGV[arg]) then
      held[name] = busy
    elseif ARGV[arg + 1] ~= '1' then
      waived = waived + 2 ^ (buckets + at - 1)
    elseif wait < SLOT_WAIT then
      refused_by, wait = buckets + at, SLOT_WAIT
    end
  end
  for at = 1, budgets do
    local level = spent(KEYS[1 + buckets + slots + at])
    if not level then return {-2, at} end
    reply[3 + buckets + at] = level
    if money > 0 and level + money > tonumber(ARGV[limits + 2 * at - 1]) then
      if ARGV[limits + 2 * at] ~= '1' then
        waived = waived + 2 ^ (buckets + slots + at - 1)
      else
        refused_by, wait = buckets + slots + at, 0
      end
    end
  end

  if refused_by == 0 then
    local known = {waived}
    if budgets > 0 then known[2] = floor(now / HOUR) end
    for at, charge in ipairs(charges) do
      local level, advance = reply[3 + at] + charge, 0
      reply[3 + at] = level
      if budgets == 0 and ARGV[limits + at] then
        if charge > 0 then advance = min(tonumber(ARGV[limits + at]), tonumber(ARGV[5 + 3 * at]) - level) end
        reply[3 + buckets + at], known[1 + at] = advance, format('%.0f', advance)
      end
    end
    if not call('SET', KEYS[1], table.concat(known, ' '), 'NX', 'PX', ARGV[4]) then return {-1} end
    for at, charge in ipairs(charges) do
      local advance = budgets == 0 and reply[3 + buckets + at] or 0
      if charge > 0 then put(KEYS[1 + at], now + reply[3 + at] + advance) end
    end
    for name, busy in pairs(held) do
      call('ZADD', name, format('%.0f', now + lasts), ARGV[3])
      if busy == 0 then renew(name, lasts) end
    end
    for at = 1, budgets do
      reply[3 + buckets + at] = reply[3 + buckets + at] + money
      if money > 0 then call('HINCRBY', KEYS[1 + buckets + slots + at], known[2], money) end
    end
  end
  reply[1], reply[2], reply[3] = refused_by, wait, waived
  return reply
end

local function owe_late(reservation, first, owed, began, ended)
  local late = {}
  for at = first, #KEYS do
    local since = tonumber(call('HGET', KEYS[at], 'since') or ended)
    if began < since and since < ended then late[#late + 1] = KEYS[at] end
  end
  if #late > 0 and call('SET', reservation, 'barred', 'NX', 'PX', KNOWN) then
    for _, budget in ipairs(late) do call('HINCRBY', budget, 'spent', owed) end
  end
end

if verb == 'settle' or verb == 'pay' then
  local reservation, buckets = KEYS[1], tonumber(ARGV[5])
  local budgets = verb == 'pay' and tonumber(ARGV[#ARGV]) or 0
  local held, owed, began, ended = 0, 0, 0, 0
  if budgets > 0 then
    held, owed = ARGV[#ARGV - 4], ARGV[#ARGV - 3]
    began, ended = tonumber(ARGV[#ARGV - 2]), tonumber(ARGV[#ARGV - 1])
  end
  for at = 2 + buckets, #KEYS - budgets do call('ZREM', KEYS[at], ARGV[3]) end
  local known = call('GET', reservation)
  if not known or known == 'barred' then
    if ARGV[4] ~= '0' then
      call('SET', reservation, 'barred', 'NX', 'PX', ARGV[4])
    elseif budgets > 0 then
      owe_late(reservation, #KEYS - budgets + 1, owed, began, ended)
    end
    return 0
  end
  call('DEL', reservation)
  local numbers = string.gmatch(known, '%S+')
  local waived, hour = tonumber(numbers()), budgets > 0 and numbers()
  for at = #KEYS - budgets + 1, #KEYS do
    if call('HEXISTS', KEYS[at], hour) == 1 then call('HINCRBY', KEYS[at], hour, -held) end
    if call('HEXISTS', KEYS[at], 'spent') == 1 then call('HINCRBY', KEYS[at], 'spent', owed) end
  end
  for at, tat in ipairs(tats(1 + buckets)) do
    local more = tonumber(ARGV[5 + 2 * at]) - tonumber(ARGV[4 + 2 * at])
    local advance = tonumber(numbers() or 0)
    if ARGV[4] ~= '0' then more = more - advance end -- whoever left has not got it
    if floor(waived / 2 ^ (at - 1)) % 2 == 1 then more = 0 end
    if more > 0 then
      put(KEYS[1 + at], min(max(tat or 0, now) + more, now + MOST))
    elseif more < 0 and tat then
      put(KEYS[1 + at], tat + more)
    end
  end
  return 1
end

if verb == 'charge' then
  if not call('SET', KEYS[1], 'done', 'NX', 'PX', ARGV[3]) then return 0 end
  for at, tat in ipairs(tats(#KEYS)) do
    local charge, before = tonumber(ARGV[3 + at]), max(tat or 0, now)
    if charge > 0 then
      put(KEYS[1 + at], min(before + charge, now + MOST))
    elseif tat then
      put(KEYS[1 + at], before + charge)
    end
  end
  return 1
end

if verb == 'beat' then
  local slots, lasts = KEYS[1], tonumber(ARGV[3])
  for at = 4, #ARGV do call('ZADD', slots, format('%.0f', now + lasts), ARGV[at]) end -- first: fails without memory
  call('ZREMRANGEBYSCORE', slots, '-inf', format('%.0f', now)) -- of those who have crashed
  renew(slots, lasts)
  return taken(slots)
end

if verb == 'free' then
  for at = 3, #ARGV do call('ZREM', KEYS[1], ARGV[at]) end
end

if verb == 'levels' then
  local found, buckets, slots = {}, tonumber(ARGV[3]), tonumber(ARGV[4])
  for at, name in ipairs(KEYS) do
    if at <= buckets then
      local bucket = call('GET', name)
      found[at] = bucket and max(stands(bucket) - now, 0) or 0
    elseif at <= buckets + slots then
      found[at] = taken(name)
    else
      local known = spent(name)
      found[at] = known and max(known, 0) or -1
    end
  end
  return found
end

if verb == 'know' then
  for at, budget in ipairs(KEYS) do
    if call('HEXISTS', budget, 'spent') == 0 then
      call('HSET', budget, 'spent', ARGV[3 * at], 'since', ARGV[3 * at + 1])
      call('PEXPIRE', budget, ARGV[3 * at + 2])
    end
  end
end
