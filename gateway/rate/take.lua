-- Pours ARGV[3i-2] microseconds into bucket KEYS[i], which has room for ARGV[3i-1], or pours into none when one has no room. Where ARGV[3i]
-- is 1, it pours what there is room for instead. A bucket is the time at which it will have drained; one that has is not there.
-- Answers {1 or 0, the level of each bucket}.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local answer, takes, fits = {1}, {}, true
for i, key in ipairs(KEYS) do
  local level = math.max(0, (tonumber(redis.call('GET', key)) or 0) - now)
  local take, room = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  if ARGV[3 * i] == '1' then
    take = math.max(0, math.min(take, room - level))
  elseif level + take > room then
    fits = false
  end
  answer[i + 1], takes[i] = level, take
end
if not fits then
  answer[1] = 0
  return answer
end
for i, key in ipairs(KEYS) do
  local level = answer[i + 1] + takes[i]
  answer[i + 1] = level
  if level > 0 then
    redis.call('SET', key, string.format('%.0f', now + level), 'PX', string.format('%.0f', math.ceil(level / 1000)))
  end
end
return answer
