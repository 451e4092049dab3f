-- Limits that several gateways share: what gcra.py decides, in one step on the server. Tests hold the two equal.
--
-- Times are whole microseconds; ARGV[2] is the time in tests, 0 takes the server's own. A bucket is a string, its TAT;
-- slots are a sorted set of ids by when they end. Each key goes by itself once it says nothing more.
--
-- reserve  KEYS: reservation, buckets, slots
--          ARGV: id, ms for which the reservation is known, us that a slot lasts, number of buckets,
--                (charge, span, enforced) of each bucket, (limit, enforced) of each slots
--          Returns who refuses (0: nobody, -1: the reservation is there already), us to wait, bits of those waived,
--          the levels of the buckets.
-- settle   KEYS: reservation, buckets, slots
--          ARGV: id, ms for which a reservation that is not there must not come any more, number of buckets,
--                (paid, owed) of each bucket
--          Returns whether it was there.
-- charge   KEYS: name of the charge, buckets
--          ARGV: ms for which the name is known, (charge, span) of each bucket
--          Returns whether it was new.
-- beat     KEYS: slots
--          ARGV: us that a slot lasts, ids
--          Returns how many slots are taken.

local SLACK = 10000 -- ms for which a bucket is kept after it has drained
local SLOT_WAIT = 1000000
local MOST = 2 ^ 50

local now = tonumber(ARGV[2])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local function whole(number)
  return string.format('%.0f', number)
end

local function tats(from, to)
  return from > to and {} or redis.call('MGET', unpack(KEYS, from, to))
end

local function put(key, tat)
  redis.call('SET', key, whole(tat), 'PX', whole(math.max(math.ceil((tat - now) / 1000), 0) + SLACK))
end

local function taken(slots)
  return redis.call('ZCOUNT', slots, '(' .. whole(now), '+inf')
end

local function hold(slots, id, lasts)
  redis.call('ZADD', slots, whole(now + lasts), id)
  redis.call('PEXPIRE', slots, whole(math.ceil(lasts / 1000)))
end

local verbs = {}

function verbs.reserve()
  local reservation, id, known, lasts, buckets = KEYS[1], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
  if redis.call('EXISTS', reservation) == 1 then return {-1} end
  local reply, charges, held = {0, 0, 0}, {}, {}

  local function stand_in_the_way(number, enforced, wait)
    if enforced ~= '1' then
      reply[3] = reply[3] + 2 ^ (number - 1)
    elseif wait > reply[2] then
      reply[1], reply[2] = number, wait
    end
  end

  for at, tat in ipairs(tats(2, 1 + buckets)) do
    local charge, span = tonumber(ARGV[4 + 3 * at]), tonumber(ARGV[5 + 3 * at])
    local level = math.max(tonumber(tat or 0) - now, 0)
    if charge > 0 and level + charge > span then
      stand_in_the_way(at, ARGV[6 + 3 * at], level + charge - span)
      charge = 0
    end
    charges[at], reply[3 + at] = charge, level
  end
  for at = 1, #KEYS - 1 - buckets do
    local slots, arg = KEYS[1 + buckets + at], 5 + 3 * buckets + 2 * at
    if taken(slots) < tonumber(ARGV[arg]) then
      held[#held + 1] = slots
    else
      stand_in_the_way(buckets + at, ARGV[arg + 1], SLOT_WAIT)
    end
  end
  if reply[1] > 0 then return reply end

  for at, charge in ipairs(charges) do
    if charge > 0 then
      reply[3 + at] = reply[3 + at] + charge
      put(KEYS[1 + at], now + reply[3 + at])
    end
  end
  for _, slots in ipairs(held) do hold(slots, id, lasts) end
  redis.call('SET', reservation, whole(reply[3]), 'PX', known) -- with what was waived
  return reply
end

function verbs.settle()
  local reservation, id, barred, buckets = KEYS[1], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
  for at = 2 + buckets, #KEYS do redis.call('ZREM', KEYS[at], id) end
  local waived = tonumber(redis.call('GET', reservation) or '')
  if not waived then
    if barred > 0 then redis.call('SET', reservation, 'barred', 'NX', 'PX', barred) end
    return 0
  end
  redis.call('DEL', reservation)
  for at, tat in ipairs(tats(2, 1 + buckets)) do
    local more = tonumber(ARGV[5 + 2 * at]) - tonumber(ARGV[4 + 2 * at])
    if math.floor(waived / 2 ^ (at - 1)) % 2 == 1 then more = 0 end
    if more > 0 then
      put(KEYS[1 + at], math.min(math.max(tonumber(tat or 0), now) + more, now + MOST))
    elseif more < 0 and tat then
      put(KEYS[1 + at], tonumber(tat) + more)
    end
  end
  return 1
end

function verbs.charge()
  if not redis.call('SET', KEYS[1], 'done', 'NX', 'PX', ARGV[3]) then return 0 end
  for at, tat in ipairs(tats(2, #KEYS)) do
    local charge, span = tonumber(ARGV[2 + 2 * at]), tonumber(ARGV[3 + 2 * at])
    local before = math.max(tonumber(tat or 0), now)
    put(KEYS[1 + at], math.max(before, math.min(before + charge, now + span)))
  end
  return 1
end

function verbs.beat()
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', whole(now)) -- of those who have crashed
  for at = 4, #ARGV do hold(KEYS[1], ARGV[at], tonumber(ARGV[3])) end
  return taken(KEYS[1])
end

return verbs[ARGV[1]]()
