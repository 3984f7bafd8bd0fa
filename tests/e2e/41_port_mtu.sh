#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The load balancer's own ports are narrower than those of its neighbours: who sends too much is
# told so, client and endpoint.
#
#   client ----------------------- lb --------------------- fabric -- backend5
#   1500               1400, eth0     eth1, 1350            1500      1500

set -euo pipefail
. "$(dirname "$0")/topology.sh"

probe() { on client "$PYTHON" "$ROOT/tests/e2e/icmp.py" "$@"; }

# knows HOST DESTINATION MTU
knows() { ip -n "$(netns "$1")" route get "$2" | grep -q "mtu $3"; }

begin port-mtu
two_arm
ip -n "$(netns lb)" link set eth0 mtu 1400
ip -n "$(netns lb)" link set eth1 mtu 1350
serve_udp 5
serve_http 5
start_with "$(
	service web "$VIP" 8080 TCP 172.17.0.5:8080
	service web6 "$VIP6" 8080 TCP '[fd00:17::5]:8080'
	service dns "$VIP" 53 UDP 172.17.0.5:5353
	service dns6 "$VIP6" 53 UDP '[fd00:17::5]:5353'
)"
wait_up web 1
wait_up web6 1

expect "a datagram of 1350 bytes" "$(probe "$VIP" 53 64 1350)" "answer"
expect "a datagram of 1351 bytes" "$(probe "$VIP" 53 64 1351)" "error 3/4 from $VIP mtu 1350"
expect "a datagram of 1350 bytes, IPv6" "$(probe "$VIP6" 53 64 1350)" "answer"
expect "a datagram of 1351 bytes, IPv6" "$(probe "$VIP6" 53 64 1351)" "error 2/0 from $VIP6 mtu 1350"

# Now the way back is the narrower one.
ip -n "$(netns lb)" link set eth0 mtu 1300
ip -n "$(netns lb)" link set eth1 mtu 1500
assert_download
assert_download "http://[$VIP6]:8080/blob"
knows backend5 10.1.0.2 1300 || fail "the endpoint has not learnt the MTU of the way back"
knows backend5 fd00:1::2 1300 || fail "the endpoint has not learnt the MTU of the way back, IPv6"
expect "drops" "$(metrics sluice_dropped_packets_total)" 0
finish
