-- Pours ARGV[2i-1] microseconds into bucket KEYS[i], which has room for ARGV[2i], or pours into none when one has no room.
-- A bucket is the time at which it will have drained; one that has is not there. Answers {1 or 0, the level of each bucket}.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local answer, fits = {1}, true
for i, key in ipairs(KEYS) do
  local level = math.max(0, (tonumber(redis.call('GET', key)) or 0) - now)
  answer[i + 1] = level
  fits = fits and level + tonumber(ARGV[2 * i - 1]) <= tonumber(ARGV[2 * i])
end
if not fits then
  answer[1] = 0
  return answer
end
for i, key in ipairs(KEYS) do
  local level = answer[i + 1] + tonumber(ARGV[2 * i - 1])
  answer[i + 1] = level
  if level > 0 then
    redis.call('SET', key, string.format('%.0f', now + level), 'PX', string.format('%.0f', math.ceil(level / 1000)))
  end
end
return answer
