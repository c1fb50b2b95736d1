-- Send the bodies in a file one after the other; say at the end what came back.
local requests, at = {}, 0

function init(args)
  for i = 2, #args, 2 do wrk.headers[args[i]] = args[i + 1] end
  for body in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, nil, body)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, requests)
  local e = summary.errors
  local failures = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format('{"requests":%d,"seconds":%f,"bytes":%d,"failures":%d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, failures))
end
