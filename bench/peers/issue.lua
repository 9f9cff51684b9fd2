-- The usual counter in Redis, as one script and so atomic: the user's day is checked and taken, the stock goes down by one,
-- the grant is recorded. KEYS: units left, holders of the coupon, users of the day. ARGV: user, day and instant.
-- Answers the position; 0 when sold out, -1 when the user got a coupon that day.
if tonumber(redis.call('GET', KEYS[1])) < 1 then
  return 0
end
if redis.call('SADD', KEYS[3], ARGV[1]) == 0 then
  return -1
end
redis.call('DECR', KEYS[1])
local position = redis.call('HLEN', KEYS[2]) + 1
redis.call('HSET', KEYS[2], ARGV[1], position .. ' ' .. ARGV[2])
return position
