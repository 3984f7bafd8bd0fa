#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A routing daemon that starts after sluiced brings more routes than there is room for in the fast
# tables (without hugepages, memory is what the routes at start needed): they are followed.
#
#   client ------ lb ------ fabric ------ backend .5
#   10.1.0.2, later also 10.9.0.2, routed behind 5,000 other prefixes

set -euo pipefail
. "$(dirname "$0")/topology.sh"

routes() {
	local i

	for ((i = 0; i < 5000; i++)); do
		say "route add 20.$((i >> 8)).$((i & 255)).0/24 via 172.17.0.5"
	done
	say "route add 10.9.0.0/24 via 10.1.0.2"
}
get_from() { on client curl -sS --max-time 1 --interface "$1" "http://$VIP:8080/"; }

begin routes-come-later
two_arm
serve_http 5
start_with "$(service web "$VIP" 8080 TCP 172.17.0.5:8080)"
wait_up web 1
expect "before" "$(get_from 10.1.0.2)" 172.17.0.5

routes | ip -n "$(netns lb)" -batch -
address client lo 10.9.0.2/32
wait_for 5 get_from 10.9.0.2 || fail "the last route is not followed"
finish
