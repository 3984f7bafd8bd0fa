#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What goes wrong behind the load balancer, the client hears of: a hop where its packet's time was
# up, as traceroute asks for, and an endpoint where nobody listens. Pings stay the kernel's.
#
#   client -- lb -- fabric ------ router ------ farm -- backend5 172.18.0.5 fd00:18::5
#             VIP   172.17.0.254, fd00:17::fe

set -euo pipefail
. "$(dirname "$0")/topology.sh"

probe() { on client "$PYTHON" "$ROOT/tests/e2e/icmp.py" "$@"; }

begin icmp-errors
routed
serve_udp 5
start_with "$(
	service dns "$VIP" 53 UDP 172.18.0.5:5353
	service dns6 "$VIP6" 53 UDP '[fd00:18::5]:5353'
	service closed "$VIP" 54 UDP 172.18.0.5:5454
	service closed6 "$VIP6" 54 UDP '[fd00:18::5]:5454'
)"
wait_up dns 1
wait_up dns6 1

expect "the second hop" "$(probe "$VIP" 53 2)" "error 11/0 from 172.17.0.254"
expect "the third hop" "$(probe "$VIP" 53 3)" "answer"
expect "the second hop, IPv6" "$(probe "$VIP6" 53 2)" "error 3/0 from fd00:17::fe"
expect "the third hop, IPv6" "$(probe "$VIP6" 53 3)" "answer"
expect "a closed port" "$(probe "$VIP" 54)" "error 3/3 from $VIP"
expect "a closed port, IPv6" "$(probe "$VIP6" 54)" "error 1/4 from $VIP6"

on client ping -c 2 -i 0.2 -W 1 "$VIP" >/dev/null || fail "the virtual IP does not answer pings"
on client ping -c 2 -i 0.2 -W 1 "$VIP6" >/dev/null || fail "nor over IPv6"
expect "drops" "$(metrics sluice_dropped_packets_total)" 0
finish
