#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A port of the load balancer's own is narrower than what its neighbours send, and they allow that it
# is cut: datagrams and TCP arrive whole, first towards the endpoints, then towards the client.
#
#   client ----------------------- lb --------------------- fabric -- backends
#   1500               1500, eth0     eth1, 1000            1500      1500, 1000 to the client
#   1500, 1000 to VIP  1000, eth0     eth1, 1500            1500      1500

set -euo pipefail
. "$(dirname "$0")/topology.sh"

split() { metrics sluice_split_packets_total; }

# How many datagrams a host has put together.
gathered() { on "$1" nstat -asz -j IpReasmOKs | jq .kernel.IpReasmOKs; }

# Nobody sets DF, as nobody looks for the path's MTU.
begin split
two_arm
for name in client "${BACKENDS[@]/#/backend}"; do on "$name" sysctl -qw net.ipv4.ip_no_pmtu_disc=1; done
for n in "${BACKENDS[@]}"; do
	serve_fragments "backend$n" 5353
	# What comes by a port of the load balancer's must be no larger than what leaves by it.
	ip -n "$(netns "backend$n")" route replace default via 172.17.0.1 mtu lock 1000 advmss 1460
done
ip -n "$(netns lb)" link set eth1 mtu 1000
start_with "$(
	service echo "$VIP" 53 UDP 172.17.0.{5,7,8,9}:5353
	service tcp "$VIP" 80 TCP 172.17.0.{5,7,8,9}:5353
)"
wait_up echo 4
wait_up tcp 4

expect "datagrams of 972 bytes" "$(fragments client udp "$VIP" 53 40 972)" 40
expect "packets made by cutting" "$(split)" 0
expect "datagrams of 973 bytes" "$(fragments client udp "$VIP" 53 40 973)" 40
expect "packets made by cutting" "$(split)" 40
expect "datagrams of 1472 bytes" "$(fragments client udp "$VIP" 53 40 1472)" 40
expect "packets made by cutting" "$(split)" 80
# Five of 1500 bytes and a small one.
expect "datagrams of 8000 bytes" "$(fragments client udp "$VIP" 53 40)" 40
expect "packets made by cutting" "$(split)" 280
expect "TCP" "$(fragments client tcp "$VIP" 80 $((4 << 20)))" same
[ "$(split)" -gt 2000 ] || fail "only $(split) packets of TCP were cut"
[ "$(gathered backend5)" -gt 0 ] || fail "backend5 put nothing together"
# One for each socket, but where two in a row were given the same port.
connections=$(metrics sluice_service_connections_total service=echo)
((connections > 150 && connections <= 160)) || fail "$connections connections by UDP, of 160"

# Now the way back is the narrower one.
ip -n "$(netns lb)" link set eth0 mtu 1000
ip -n "$(netns lb)" link set eth1 mtu 1500
ip -n "$(netns client)" route replace "$VIP" via 10.1.0.1 mtu lock 1000 advmss 1460
for n in "${BACKENDS[@]}"; do ip -n "$(netns "backend$n")" route replace default via 172.17.0.1; done
wait_up echo 4
before=$(split)
expect "answers of 1472 bytes" "$(fragments client udp "$VIP" 53 40 1472)" 40
expect "packets made by cutting" "$(($(split) - before))" 40
expect "answers of 8000 bytes" "$(fragments client udp "$VIP" 53 40)" 40
expect "packets made by cutting" "$(($(split) - before))" 240
expect "TCP" "$(fragments client tcp "$VIP" 80 $((4 << 20)))" same
[ "$(gathered client)" -gt 2000 ] || fail "the client put $(gathered client) datagrams together"
expect "drops" "$(metrics sluice_dropped_packets_total)" 0
finish
