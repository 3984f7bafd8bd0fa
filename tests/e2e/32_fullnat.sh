#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# fullnat: endpoints that have no way back to the clients answer all the same, as what they see comes
# from the load balancer's own addresses; the host's own requests to them go on beside it. Endpoints
# come and go, and a crash breaks no connection.
#
#   client 10.1.0.2 ---- lb ------------ fabric ------ backends, without a default route
#                        172.17.0.1, fd00:17::1: SNAT addresses

set -euo pipefail
. "$(dirname "$0")/topology.sh"

with_snat() { printf '%s\n' "snat: {addresses: [172.17.0.1, 'fd00:17::1'], ports: 1024-32767}" >>"$WORK/sluice.yaml"; }

begin fullnat
two_arm
for n in "${BACKENDS[@]}"; do
	ip -n "$(netns "backend$n")" route del default
	ip -n "$(netns "backend$n")" -6 route del default
done
serve_http "${BACKENDS[@]}"
serve_udp 5 7
config "$(
	service web "$VIP" 8080 TCP 172.17.0.5:8080
	service web6 "$VIP6" 8080 TCP '[fd00:17::5]:8080' '[fd00:17::7]:8080'
	service dns "$VIP" 53 UDP 172.17.0.{5,7}:5353
	service dns6 "$VIP6" 53 UDP '[fd00:17::5]:5353' '[fd00:17::7]:5353'
)"
with_snat
start_sluiced
wait_up web 1
wait_up web6 2
expect "policy Cluster, SNAT addresses given" "$(api GET /v1/services/web | jq -r .forwarding)" fullnat

# 1 -> 4 -> 2 under load.
spawn wrk client wrk -d 4s -c 16 -t 1 --timeout 5s -H 'Connection: close' \
	-s "$ROOT/tests/e2e/load.lua" "http://$VIP:8080/"
wait_for 3 get || fail "no service"
ctl set endpoints web 172.17.0.{5,7,8,9}:8080 >/dev/null
wait_up web 4
sleep 2
ctl drain endpoint web 172.17.0.8:8080 172.17.0.9:8080 >/dev/null
for i in {1..20}; do
	expect "probe $i of a backend" \
		"$(on lb curl -sS --max-time 2 http://172.17.0.5:8080/)" 172.17.0.5
done
wait_for 12 gone wrk || fail "wrk does not end"
grep '^{' "$WORK/wrk.log" >"$WORK/load.json"
assert_no_errors
expect "flows without a port" "$(metrics sluice_dropped_packets_total reason=snat_exhausted)" 0
ctl set endpoints web 172.17.0.{5,7}:8080 >/dev/null
wait_up web 2
load 1 16 close
assert_no_errors
assert_shares 172.17.0.{5,7}
assert_download
load 1 16 close "http://[$VIP6]:8080/"
assert_no_errors
assert_shares fd00:17::{5,7}
expect "UDP answers" "$(ask_udp "$VIP" 53 200 | awk '{ n += $1 } END { print n }')" 200
expect "UDP answers, IPv6" "$(ask_udp "$VIP6" 53 200 | awk '{ n += $1 } END { print n }')" 200

hold 1 50
wait_for 10 all_held || fail "not 50 downloads at once: $(tail -n 3 "$WORK/hold.log")"
kill_sluiced
start_sluiced
wait_up web 2
assert_all_held 40
expect "resets" "$(resets)" 0
finish
