#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# sessionAffinity: ClientIP. Clients of many addresses stay at their endpoint while the service is
# scaled 1 -> 4 -> 2, move only when it goes, and are forgotten when their time is up.
#
#   client ------------- lb ------ fabric ------ backends, four of them
#   10.1.0.10 - .25      VIP 10.96.43.114:8080

set -euo pipefail
. "$(dirname "$0")/topology.sh"

OLD=(10.1.0.{10..17})
NEW=(10.1.0.{18..25})

# answers ADDRESS...: who answers each of them, a line each; several where one would do.
answers() { on client "$PYTHON" "$ROOT/tests/e2e/clients.py" "$VIP" 8080 3 "$@"; }

scale() { ctl set endpoints web "${@/%/:8080}" >/dev/null; }

# Clients that had to go to .7 and .8 stay there for a second. Where all that took longer than their
# time-out nothing is known.
stay_for_a_second() {
	local start

	scale 172.17.0.{7,8}
	answers "${OLD[@]}" "${NEW[@]}"
	scale 172.17.0.{5,7,8,9}
	start=${EPOCHREALTIME/[^0-9]/}
	answers "${OLD[@]}" "${NEW[@]}" >"$WORK/first"
	sleep 1
	answers "${OLD[@]}" "${NEW[@]}" >"$WORK/second"
	[ $((${EPOCHREALTIME/[^0-9]/} - start)) -lt 2000000 ] &&
		! grep -qv '^172.17.0.[78]$' "$WORK/first" "$WORK/second" && cmp "$WORK/first" "$WORK/second"
}

begin affinity
two_arm
address client eth0 "${OLD[@]/%//24}" "${NEW[@]/%//24}"
serve_http "${BACKENDS[@]}"
start_with "$(EXTRA='sessionAffinity: ClientIP' service web "$VIP" 8080 TCP 172.17.0.5:8080)"
wait_up web 1
ctl describe service web | grep -q '^Session Affinity: *ClientIP$' || fail "describe shows no affinity"
ctl describe service web | grep -q '^Session Affinity Timeout: *3h$' || fail "describe shows no time-out"
expect "at one endpoint" "$(answers "${OLD[@]}" | sort -u)" 172.17.0.5

# One to four: who was there stays, the others spread.
scale 172.17.0.{5,7,8,9}
wait_up web 4
expect "who was there before" "$(answers "${OLD[@]}" | sort -u)" 172.17.0.5
answers "${NEW[@]}" >"$WORK/new"
[ "$(sort -u "$WORK/new" | wc -l)" -gt 1 ] || fail "new clients all at $(sort -u "$WORK/new")"

# Four to two: who was at one of the two stays.
scale 172.17.0.{7,8}
wait_up web 2
answers "${NEW[@]}" >"$WORK/two"
paste "$WORK/new" "$WORK/two" | awk '$1 ~ /\.[78]$/ && $1 != $2 { exit 1 }' ||
	fail "moved away from an endpoint that is there: $(paste "$WORK/new" "$WORK/two")"
answers "${OLD[@]}" >"$WORK/old"
if grep -qv '^172.17.0.[78]$' "$WORK/old" "$WORK/two"; then fail "answers of an endpoint that is gone"; fi

# And four again: where a client had to move to, it stays.
scale 172.17.0.{5,7,8,9}
wait_up web 4
expect "clients that had moved" "$(answers "${OLD[@]}")" "$(cat "$WORK/old")"
expect "the others" "$(answers "${NEW[@]}")" "$(cat "$WORK/two")"

# The time-out counts from the last connection.
api PUT /v1/services/web "name: web
ip: $VIP
port: 8080
sessionAffinity: ClientIP
sessionAffinityTimeout: 2s
endpoints: [172.17.0.5:8080, 172.17.0.7:8080, 172.17.0.8:8080, 172.17.0.9:8080]" \
	application/yaml >/dev/null
ctl describe service web | grep -q '^Session Affinity Timeout: *2s$' || fail "describe shows no new time-out"
wait_for 30 stay_for_a_second || fail "no client stayed for a second: $(paste "$WORK/first" "$WORK/second")"
sleep 3.1
answers "${OLD[@]}" "${NEW[@]}" >"$WORK/late"
if cmp -s "$WORK/second" "$WORK/late"; then fail "nobody was forgotten"; fi
expect "drops" "$(metrics sluice_dropped_packets_total)" 0
finish
