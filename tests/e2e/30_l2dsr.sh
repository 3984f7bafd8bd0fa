#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Forwarding by l2dsr: frames to backends that have the virtual address on their lo, answers past
# the load balancer. TCP and UDP, both families, endpoints that come and go.
#
#   client --+-- fabric --+-- lb        VIP 10.96.43.114, 2001:db8:43::114
#            |            |
#            +------------+-- backends  the same VIP, on lo

set -euo pipefail
. "$(dirname "$0")/direct.sh"

reason() { ctl -o json get endpoints "$1" | jq -r '.. | .reason? // empty'; }
has_reason() { [ "$(reason "$1")" = "$2" ]; }

begin l2dsr
direct
serve_http "${BACKENDS[@]}"
serve_named_udp "${BACKENDS[@]}"
EXTRA="forwarding: l2dsr"
start_with "$(
	service web "$VIP" 8080 TCP 172.17.0.{5,7}:8080
	service web6 "$VIP6" 8080 TCP '[fd00:17::5]:8080' '[fd00:17::9]:8080'
	service dns "$VIP" 5353 UDP 172.17.0.{5,7,8,9}:5353
	service dns6 "$VIP6" 5353 UDP '[fd00:17::5]:5353' '[fd00:17::7]:5353'
	service far "$VIP" 9090 TCP 172.18.0.5:9090
)"
wait_up web 2
wait_up web6 2
wait_up dns 4
wait_up dns6 2

assert_answers "http://$VIP:8080/who" backend{5,7}
assert_answers "http://[$VIP6]:8080/who" backend{5,9}
assert_download "http://$VIP:8080/blob"
assert_download "http://[$VIP6]:8080/blob"
expect "backends that answer UDP" "$(ask_udp "$VIP" 5353 200 | wc -l)" 4
expect "backends that answer UDP over IPv6" "$(ask_udp "$VIP6" 5353 200 | wc -l)" 2
for s in web web6 dns dns6; do assert_one_way "$s"; done
ctl describe service web | grep -q "Forwarding: *l2dsr" || fail "describe does not say how"

# Behind a gateway it can't be, and that is said.
expect "no route" "$(reason far)" "no route over a port"
route lb 172.18.0.0/16 via 172.17.0.5
wait_for 5 has_reason far "not on a link" || fail "behind a gateway: $(reason far)"

ctl remove endpoint web 172.17.0.7:8080
assert_scales web "http://$VIP:8080/who" 172.17.0.{7,8,9}
expect "resets" "$(resets)" 0
finish
