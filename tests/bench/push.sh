#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# push [ENDPOINTS [PUSHES]]: how long a push of a service's whole endpoint list takes, as its sender
# sees it: until every worker uses it. Each push differs from the one before by one endpoint in ten.
#
#   client -- lb -- fabric -- router -- farm (172.18.0.0/16: one next hop for all)
#             ^ PUT /v1/services/many/endpoints

set -euo pipefail
. "$(dirname "$0")/../e2e/topology.sh"

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

# percentiles TITLE <NUMBERS
percentiles() {
	sort -n | awk -v title="$1" '
		{ v[NR] = $1 }
		END { printf "%-34s median %8.2f ms   p99 %8.2f ms   max %8.2f ms\n", title,
			v[int((NR + 1) / 2)], v[int(NR * 0.99 + 0.5)], v[NR] }'
}

# "412us", "1.5ms", "2s" -> milliseconds
milliseconds() { sed -E 's/us$/e-3/; s/ms$//; s/([0-9])s$/\1e3/'; }

begin bench-push
BACKENDS=()
routed
start_with "$(service many "$VIP" 8080 TCP 172.18.0.5:8080)"
wait_up many 1
for ((i = 0; i < PUSHES; i++)); do
	list "$i" >"$WORK/list.json"
	curl -sS --fail-with-body --max-time 20 --unix-socket "$SOCKET" -X PUT \
		-H 'Content-Type: application/json' --data-binary "@$WORK/list.json" \
		-o "$WORK/answer.json" -w '%{time_total}\n' \
		http://sluice/v1/services/many/endpoints >>"$WORK/seconds" ||
		fail "push $i: $(cat "$WORK/answer.json")"
	jq -r '.applied' "$WORK/answer.json" >>"$WORK/applied"
done
say "$PUSHES pushes of $COUNT endpoints, 10 % changed each, $(stat -c %s "$WORK/list.json") bytes"
awk '{ print $1 * 1000 }' "$WORK/seconds" | percentiles "sent to answered, by curl"
milliseconds <"$WORK/applied" | percentiles "changed to used by every worker"
stop_sluiced
