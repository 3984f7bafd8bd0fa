#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# push [-r ROUNDS] [-s SECONDS] [ENDPOINTS [PUSHES]]: how long a push of a service's whole endpoint
# list takes until every worker uses it, idle and while wrk loads another service. Each push differs
# from the one before by one endpoint in ten. A round is so many pushes each way: its median and its
# 99th percentile.
#
#   client -- lb -- fabric -- router -- farm (172.18.0.0/16: one next hop for all)
#             ^ PUT /v1/services/many/endpoints

set -euo pipefail
. "$(dirname "$0")/../e2e/topology.sh"
. "$(dirname "$0")/series.sh"

COUNT=${1:-1000}
PUSHES=${2:-100}

# list SHIFT: COUNT endpoints; every tenth has a port that depends on SHIFT.
list() {
	awk -v count="$COUNT" -v shift="$1" 'BEGIN {
		printf "{\"endpoints\": ["
		for (i = 0; i < count; i++)
			printf "%s\"172.18.%d.%d:%d\"", i ? "," : "", 1 + i / 250, 1 + i % 250,
				i % 10 == 0 ? 9000 + shift % 2 : 8080
		printf "]}"
	}'
}

# "412us", "1.5ms", "2s" -> milliseconds
milliseconds() { sed -E 's/us$/e-3/; s/ms$//; s/([0-9])s$/\1e3/'; }

# percentile N <NUMBERS
percentile() { sort -g | awk -v n="$1" '{ v[NR] = $1 } END { i = int(NR * n / 100 + 0.5); print v[i ? i : 1] }'; }

# push WHEN: one round's pushes.
push() {
	local i

	: >"$WORK/applied"
	for ((i = 0; i < PUSHES; i++)); do
		list "$i" >"$WORK/list.json"
		curl -sS --fail-with-body --max-time 20 --unix-socket "$SOCKET" -X PUT \
			-H 'Content-Type: application/json' --data-binary "@$WORK/list.json" \
			-o "$WORK/answer.json" http://sluice/v1/services/many/endpoints ||
			fail "push $i: $(cat "$WORK/answer.json")"
		jq -r '.applied' "$WORK/answer.json" >>"$WORK/applied"
	done
	milliseconds <"$WORK/applied" >"$WORK/ms"
	series_add "$1.median" "$(percentile 50 <"$WORK/ms")"
	series_add "$1.p99" "$(percentile 99 <"$WORK/ms")"
}

one_round() {
	push idle
	spawn wrk client wrk -d 600s -c 32 -t 1 "http://$VIP:9090/"
	push loaded
	alive wrk || fail "wrk ended: $(tail -n 3 "$WORK/wrk.log")"
	stop wrk INT
}

begin bench-push
BACKENDS=(5)
routed
serve_http 5
start_with "$(service many "$VIP" 8080 TCP 172.18.0.5:8080
	service web "$VIP" 9090 TCP 172.18.0.5:9090)"
wait_up many 1
wait_up web 1
remark "PUT of $COUNT endpoints, 10 % of them changed each time, $PUSHES times a round; loaded: wrk," \
	"32 connections, on the same $(nproc) cores."
rounds one_round
for when in idle loaded; do
	aim=-
	[ $when = idle ] || aim='value<=5'
	row "push of $COUNT endpoints, $when, median" ms "$when.median" - - -
	row "push of $COUNT endpoints, $when, 99th percentile" ms "$when.p99" - - "$aim"
done
stop_sluiced
