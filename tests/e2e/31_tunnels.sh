#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Forwarding by ipip and gue: every mix of families inside and outside, TCP and UDP, endpoints that
# come and go, and a service's mode changed while connections are open.
#
#   client --+-- fabric --+-- lb        VIP 10.96.43.114, 2001:db8:43::114
#            |            |
#            +------------+-- backends  take packets out of the tunnel; the same VIP, on lo

set -euo pipefail
. "$(dirname "$0")/direct.sh"

services() {
	EXTRA="forwarding: $1"
	service web "$VIP" 8080 TCP 172.17.0.5:8080 '[fd00:17::7]:8080'
	service web6 "$VIP6" 8080 TCP 172.17.0.8:8080 '[fd00:17::9]:8080'
	service dns "$VIP" 5353 UDP 172.17.0.{5,7}:5353 '[fd00:17::8]:5353' '[fd00:17::9]:5353'
	service dns6 "$VIP6" 5353 UDP 172.17.0.{5,7}:5353 '[fd00:17::8]:5353' '[fd00:17::9]:5353'
}

forwards_by() { [ "$(ctl -o json get services | jq -r '[.. | .forwarding? // empty] | unique[]')" = "$1" ]; }
is_silent() { ! on client curl -sS -g --max-time 1 -o /dev/null "http://$VIP:8080/who" 2>/dev/null; }

begin tunnels
direct
serve_http "${BACKENDS[@]}"
serve_named_udp "${BACKENDS[@]}"
start_with "$(services ipip)"
for s in web web6; do wait_up "$s" 2; done
for s in dns dns6; do wait_up "$s" 4; done

# Without somebody at the end of the tunnel there is no answer: it is one.
is_silent || fail "an answer without a decapsulator"
decapsulate "${BACKENDS[@]}"

for mode in ipip gue; do
	config "$(services "$mode")"
	reload_sluiced
	wait_for 5 forwards_by "$mode" || fail "still not $mode"
	assert_answers "http://$VIP:8080/who" backend{5,7}
	assert_answers "http://[$VIP6]:8080/who" backend{8,9}
	assert_download "http://$VIP:8080/blob"
	assert_download "http://[$VIP6]:8080/blob"
	expect "$mode: backends that answer UDP" "$(ask_udp "$VIP" 5353 200 | wc -l)" 4
	expect "$mode: backends that answer UDP over IPv6" "$(ask_udp "$VIP6" 5353 200 | wc -l)" 4
done

# The mode changes under connections: they stay, each at its backend.
hold 0.3 40 "http://$VIP:8080/slow?rate=300k"
wait_for 5 all_held || fail "not 40 downloads at once"
for mode in ipip gue ipip; do
	config "$(services "$mode")"
	reload_sluiced
	wait_for 5 forwards_by "$mode" || fail "still not $mode"
	sleep 0.3
done
alive hold || fail "the downloads ended too soon: $(tail -n 3 "$WORK/hold.log")"
assert_all_held 15

ctl remove endpoint web '[fd00:17::7]:8080'
assert_scales web "http://$VIP:8080/who" fd00:17::7 172.17.0.8 fd00:17::9
for s in web web6 dns dns6; do assert_one_way "$s"; done
expect "resets" "$(resets)" 0
finish
