#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What is too large for a packet arrives whole: datagrams of 8 KB in fragments, in both directions
# and orders, which the gate cuts smaller still (IPv4), and TCP segments that the gate and the
# router cut. What is not the service's, on the same addresses, stays the kernel's.
#
#   client ----------- gate ------------- lb ---------- router ------------- farm -- backends
#   10.1.0.2   10.1.0.1  10.2.0.2  10.2.0.1  172.17.0.1  172.17.0.254  172.18.0.1
#                      -> MTU 1000                    <- MTU 1000

set -euo pipefail
. "$(dirname "$0")/topology.sh"

behind_gates() {
	host client gate lb router
	switch farm
	link client eth0 gate eth0
	link gate eth1 lb eth0
	link lb eth1 router eth0
	plug router eth1 farm
	address gate eth0 10.1.0.1/24 fd00:1::1/64
	address gate eth1 10.2.0.2/24 fd00:2::2/64
	address lb eth0 10.2.0.1/24 fd00:2::1/64
	address lb eth1 172.17.0.1/16 fd00:17::1/64
	address router eth0 172.17.0.254/16 fd00:17::fe/64
	address router eth1 172.18.0.1/16 fd00:18::1/64
	for name in gate lb router; do forwards "$name"; done
	# The mtu is the route's, as both ends of a cable must have the same.
	route gate default via 10.2.0.1 mtu lock 1000
	route gate default via fd00:2::1
	route router default via 172.17.0.1 mtu lock 1000
	route router default via fd00:17::1
	route lb 10.1.0.0/24 via 10.2.0.2
	route lb fd00:1::/64 via fd00:2::2
	route lb 172.18.0.0/16 via 172.17.0.254
	route lb fd00:18::/64 via fd00:17::fe
	client_side
	# Who numbers datagrams by hand has addresses of its own, as numbers must not meet.
	address client eth0 10.1.0.{3,4}/24 fd00:1::{3,4}/64
	route client default via 10.1.0.1
	route client default via fd00:1::1
	backend_hosts farm 18
	for name in client "${BACKENDS[@]/#/backend}"; do on "$name" sysctl -qw net.ipv4.ip_no_pmtu_disc=1; done
	LB_PORTS=(eth0 eth1)
}

# How many fragments of IPv4 packets a host has made.
cuts() { on "$1" nstat -asz -j IpFragCreates | jq .kernel.IpFragCreates; }

dropped() { metrics sluice_dropped_packets_total reason="$1"; }
dropped_is() { [ "$(dropped "$1")" -eq "$2" ]; }

begin fragments
behind_gates
for n in "${BACKENDS[@]}"; do
	serve_fragments "backend$n" 5353
	serve_fragments "backend$n" 5454 backward
done
serve_fragments lb 7777
serve_fragments client 7777
start_with "$(
	EXTRA="nodePort: 30853" service echo "$VIP" 53 UDP 172.18.0.{5,7,8,9}:5353
	EXTRA="nodePort: 30856" service echo6 "$VIP6" 53 UDP '[fd00:18::'{5,7,8,9}']:5353'
	service backward "$VIP" 54 UDP 172.18.0.{5,7,8,9}:5454
	service backward6 "$VIP6" 54 UDP '[fd00:18::'{5,7,8,9}']:5454'
	service tcp "$VIP" 80 TCP 172.18.0.{5,7,8,9}:5353
)"
for name in echo echo6 backward backward6 tcp; do wait_up "$name" 4; done

for of in "$VIP 10.1.0." "$VIP6 fd00:1::"; do
	read -r vip net <<<"$of"
	expect "datagrams to $vip" "$(fragments client udp "$vip" 53 40)" 40
	expect "datagrams to $vip, backward" "$(fragments client udp "$vip" 53 40 8000 "${net}3")" 40
	expect "datagrams to $vip and back, backward" \
		"$(fragments client udp "$vip" 54 40 8000 "${net}4")" 40
done
for n in "${BACKENDS[@]}"; do
	for e in "172.18.0.$n:5353" "[fd00:18::$n]:5353"; do
		[ "$(endpoint_metric packets_total "$e")" -gt 0 ] || fail "$e had none"
	done
done
expect "TCP" "$(fragments client tcp "$VIP" 80 $((8 << 20)))" same
for host in gate router; do
	[ "$(cuts "$host")" -gt 5000 ] || fail "$host cut $(cuts "$host") packets only"
done

# The same ports' addresses are the host's too, and the endpoints have a life of their own.
expect "datagrams to a node port" "$(fragments client udp 10.2.0.1 30853 20)" 20
expect "datagrams to a node port over IPv6" "$(fragments client udp fd00:2::1 30856 20)" 20
for a in 10.2.0.1 "$VIP" fd00:2::1 "$VIP6"; do
	expect "datagrams to the host itself, $a" "$(fragments client udp "$a" 7777 20)" 20
done
expect "an endpoint's own datagrams" "$(fragments backend5 udp 10.1.0.2 7777 20)" 20
expect "an endpoint's own datagrams over IPv6" "$(fragments backend5 udp fd00:1::2 7777 20)" 20
expect "an endpoint's datagrams to the host" "$(fragments backend5 udp 172.17.0.1 7777 20)" 20
for a in "$VIP" "$VIP6"; do
	on client ping -c 2 -i 0.2 -W 2 -s 8000 "$a" >/dev/null || fail "no large ping of $a"
done
expect "drops" "$(metrics sluice_dropped_packets_total)" 0

# What never becomes whole is dropped after a while, and the rest goes on.
fragments client later 10.1.0.99 "$VIP" 500
expect "datagrams beside" "$(fragments client udp "$VIP" 53 20)" 20
wait_for 10 dropped_is fragment 500 || fail "$(dropped fragment) of 500 fragments dropped"
expect "drops" "$(metrics sluice_dropped_packets_total)" 500
finish
