-- SPDX-License-Identifier: BSD-3-Clause
-- wrk: count the answers by body, and print one JSON object at the end.

local threads = {}

function setup(thread)
	table.insert(threads, thread)
end

function init(args)
	answers = {}
end

function response(status, headers, body)
	local key = status == 200 and (body:match("^(%S+)%s*$") or "other") or "status " .. status
	answers[key] = (answers[key] or 0) + 1
end

function done(summary, latency, requests)
	local sum, list = {}, {}
	local e = summary.errors

	for _, thread in ipairs(threads) do
		for key, count in pairs(thread:get("answers")) do
			sum[key] = (sum[key] or 0) + count
		end
	end
	for key, count in pairs(sum) do
		table.insert(list, string.format('"%s":%d', key, count))
	end
	table.sort(list)
	io.write(string.format(
		'{"requests":%d,"seconds":%.2f,"errors":{"connect":%d,"read":%d,"write":%d,' ..
		'"status":%d,"timeout":%d},"answers":{%s}}\n',
		summary.requests, summary.duration / 1e6, e.connect, e.read, e.write, e.status, e.timeout,
		table.concat(list, ",")))
end
