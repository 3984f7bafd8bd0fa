#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Packets that are as large as any link carries, and may be cut, go into tunnels over the same
# links: endpoints put together what the tunnel brings and answer the whole of it.
#
#   client --+-- fabric --+-- lb        VIP 10.96.43.114
#            |            |
#            +------------+-- backends  take packets out of the tunnel; the same VIP, on lo

set -euo pipefail
. "$(dirname "$0")/direct.sh"

split() { metrics sluice_split_packets_total; }

services() {
	EXTRA="forwarding: $1"
	service echo "$VIP" 53 UDP 172.17.0.5:53
	service tcp "$VIP" 80 TCP 172.17.0.5:80
	service echo6 "$VIP" 54 UDP '[fd00:17::7]:54'
	service tcp6 "$VIP" 81 TCP '[fd00:17::7]:81'
}

forwards_by() { [ "$(ctl -o json get services | jq -r '[.. | .forwarding? // empty] | unique[]')" = "$1" ]; }

# assert_cut WHAT PORT SIZE TIMES PIECES: as many datagrams come back whole, and each was cut into
# so many pieces more than it had.
assert_cut() {
	local before

	before=$(split)
	expect "$1: datagrams of $3 bytes" "$(fragments client udp "$VIP" "$2" "$4" "$3")" "$4"
	expect "$1: pieces of $3 bytes" "$(($(split) - before))" $(($4 * $5))
}

begin split-in-tunnels
direct
for name in client backend5 backend7; do on "$name" sysctl -qw net.ipv4.ip_no_pmtu_disc=1; done
for port in 53 80; do serve_fragments backend5 "$port"; done
for port in 54 81; do serve_fragments backend7 "$port"; done
decapsulate 5 7
start_with "$(services ipip)"
for s in echo tcp echo6 tcp6; do wait_up "$s" 1; done

for mode in ipip gue; do
	config "$(services "$mode")"
	reload_sluiced
	wait_for 5 forwards_by "$mode" || fail "still not $mode"
	more=$([ "$mode" = ipip ] || say 8)
	assert_cut "$mode" 53 $((1452 - ${more:-0})) 20 0
	assert_cut "$mode" 53 $((1453 - ${more:-0})) 20 1
	assert_cut "$mode" 53 1472 20 1
	assert_cut "$mode" 53 8000 20 5
	assert_cut "$mode over IPv6" 54 $((1432 - ${more:-0})) 20 0
	assert_cut "$mode over IPv6" 54 $((1433 - ${more:-0})) 20 1
	assert_cut "$mode over IPv6" 54 1472 20 1
	expect "$mode: TCP" "$(fragments client tcp "$VIP" 80 $((4 << 20)))" same
	expect "$mode: TCP over IPv6" "$(fragments client tcp "$VIP" 81 $((4 << 20)))" same
done
[ "$(split)" -gt 8000 ] || fail "only $(split) packets of TCP were cut"
for s in echo tcp echo6 tcp6; do assert_one_way "$s"; done
expect "drops" "$(metrics sluice_dropped_packets_total)" 0
finish
