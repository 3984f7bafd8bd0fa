#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A draining endpoint keeps its flows and gets no new ones.
#
#   client ------ lb ------ fabric ------ backends .5 (drained) and .7

set -euo pipefail
. "$(dirname "$0")/topology.sh"

begin draining
two_arm
serve_http 5 7
start_with "$(service web "$VIP" 8080 TCP 172.17.0.{5,7}:8080)"
wait_up web 2

hold 0.3 40 "http://$VIP:8080/slow?rate=300k"
wait_for 5 all_held || fail "not 40 downloads at once"
before=$(endpoint_metric connections_total 172.17.0.5:8080)
[ "$before" -gt 0 ] || fail "no download on the one that is to drain"
ctl drain endpoint web 172.17.0.5:8080
expect "draining" "$(endpoint_metric draining 172.17.0.5:8080)" 1

load 1 16 close
assert_no_errors
assert_shares 172.17.0.7
expect "connections of the draining one" \
	"$(endpoint_metric connections_total 172.17.0.5:8080)" "$before"
alive hold || fail "the downloads ended too soon: $(cat "$WORK/hold.log")"
assert_all_held 15
expect "resets" "$(resets)" 0

ctl add endpoint web 172.17.0.5:8080
wait_up web 2
expect "draining, added again" "$(endpoint_metric draining 172.17.0.5:8080)" 0
load 1 16 close
assert_shares 172.17.0.{5,7}
finish
