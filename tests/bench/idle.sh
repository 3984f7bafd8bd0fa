#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# idle [-r ROUNDS] [-s SECONDS]: what `idle: adaptive` saves and costs next to `idle: poll`: the share
# of a core that the worker takes while nothing comes, and how long a request takes that comes after
# 20 ms without one, so that it finds the worker asleep.
#
#   client ------ lb ------ fabric ------ backend5

set -euo pipefail
. "$(dirname "$0")/../e2e/topology.sh"
. "$(dirname "$0")/series.sh"

PAUSE_MS=20

# worker_ticks: clock ticks of processor time that the worker, a thread of the EAL's, has had.
worker_ticks() {
	local task

	for task in "/proc/${PIDS[sluiced]}/task"/*; do
		if grep -q worker "$task/comm"; then
			awk '{ sub(/.*\) /, ""); print $12 + $13 }' "$task/stat"
		fi
	done
}

# share: per cent of a core.
share() {
	local before begin after end

	before=$(worker_ticks) begin=${EPOCHREALTIME/[^0-9]/}
	sleep "$SECONDS_EACH"
	after=$(worker_ticks) end=${EPOCHREALTIME/[^0-9]/}
	awk -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" -v us=$((end - begin)) \
		'BEGIN { print 100 * ticks / hz / us * 1e6 }'
}

with() {
	local p50 p99

	CORES='[1]' IDLE=$1 config "$(service web "$VIP" 8080 TCP 172.17.0.5:8080)"
	start_sluiced
	wait_up web 1
	get >/dev/null
	sleep 1
	series_add "$1.share" "$(share)"
	read -r p50 p99 < <(on client "$PYTHON" "$ROOT/tests/bench/pace.py" "$VIP" 8080 \
		$((SECONDS_EACH * 1000 / PAUSE_MS)) "$PAUSE_MS")
	series_add "$1.p50" "$p50"
	series_add "$1.p99" "$p99"
	stop_sluiced
}

one_round() {
	with poll
	with adaptive
}

begin bench-idle
two_arm
serve_http 5
remark "One worker, two AF_XDP ports on veth; a request every $PAUSE_MS ms over one connection."
rounds one_round
row "worker without traffic" "% of a core" adaptive.share "idle: poll" poll.share 'value<=5'
row "request after a pause, median latency" us adaptive.p50 "idle: poll" poll.p50 -
row "request after a pause, 99th percentile" us adaptive.p99 "idle: poll" poll.p99 -
