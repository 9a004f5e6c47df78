-- wrk ... -- complete|chat hit|miss [model]: one prompt for ever (hits), or a new one each time.
local thread_count = 0
function setup(thread)
  thread:set("id", thread_count)
  thread_count = thread_count + 1
end
function init(args)
  wire, mode, model = args[1], args[2], args[3] or "auto"
  n = 0
  math.randomseed(os.time() + id)
  run = math.random(1, 1000000000)
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
  wrk.headers["authorization"] = "Bearer sk-benchmark"
end
function request()
  n = n + 1
  local prompt = "What is the capital of France?"
  if mode == "miss" then prompt = "What is the capital of country " .. run .. "." .. id .. "." .. n .. "?" end
  if wire == "complete" then
    return wrk.format(nil, "/complete", nil, '{"prompt": "' .. prompt .. '"}')
  end
  return wrk.format(nil, "/v1/chat/completions", nil,
    '{"model": "' .. model .. '", "messages": [{"role": "user", "content": "' .. prompt .. '"}]}')
end
function done(summary, latency, requests)
  local errors = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(95), latency:percentile(99), errors))
end
