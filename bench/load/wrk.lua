-- Issue requests for wrk: each by the next user of a file with one token a line, from the first on. ARGS: that file, the
-- coupon's id. At the end one line of JSON tells what was answered.
local tokens, head, tail = {}, nil, nil
local turn = 0

function init(args)
  for token in io.lines(args[1]) do
    tokens[#tokens + 1] = token
  end
  head = "POST /coupons/" .. args[2] .. "/issue HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port .. "\r\nAuthorization: Bearer "
  tail = "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
end

-- Joined by hand: wrk.format() would go through all headers each time.
function request()
  turn = turn % #tokens + 1
  return head .. tokens[turn] .. tail
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"answers":%d,"refused":%d,"failed":%d,"microseconds":%d,"p50":%.3f,"p99":%.3f}\n',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
