#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Datagrams of 8 KB through fullnat services, in fragments, in both directions and orders: endpoints
# that have no way back to the clients get them whole, tell those of several clients that number
# theirs alike, and answer. The load balancer's own datagrams, under the address that fullnat sends
# from, stay its own.
#
#   client 10.1.0.2 ---- lb ------------ fabric ------ backends, without a default route
#                        172.17.0.1, fd00:17::1: SNAT addresses

set -euo pipefail
. "$(dirname "$0")/topology.sh"

with_snat() { printf '%s\n' "snat: {addresses: [172.17.0.1, 'fd00:17::1'], ports: 1024-32767}" >>"$WORK/sluice.yaml"; }

dropped() { metrics sluice_dropped_packets_total reason="$1"; }
dropped_is() { [ "$(dropped "$1")" -eq "$2" ]; }

begin fullnat-fragments
two_arm
# Who numbers datagrams by hand has addresses of its own, as numbers must not meet.
address client eth0 10.1.0.{3,4,5,6}/24 fd00:1::{3,4,5,6}/64
for n in "${BACKENDS[@]}"; do
	ip -n "$(netns "backend$n")" route del default
	ip -n "$(netns "backend$n")" -6 route del default
	serve_fragments "backend$n" 5353
	serve_fragments "backend$n" 5454 backward
done
serve_fragments lb 7777
config "$(
	EXTRA="nodePort: 30853" service echo "$VIP" 53 UDP 172.17.0.{5,7,8,9}:5353
	EXTRA="nodePort: 30856" service echo6 "$VIP6" 53 UDP '[fd00:17::'{5,7,8,9}']:5353'
	service backward "$VIP" 54 UDP 172.17.0.{5,7,8,9}:5454
	service backward6 "$VIP6" 54 UDP '[fd00:17::'{5,7,8,9}']:5454'
	service one "$VIP" 55 UDP 172.17.0.5:5353
	service one6 "$VIP6" 55 UDP '[fd00:17::5]:5353'
	service tcp "$VIP" 80 TCP 172.17.0.{5,7,8,9}:5353
)"
with_snat
start_sluiced
for name in echo echo6 backward backward6 tcp; do wait_up "$name" 4; done
for name in one one6; do wait_up "$name" 1; done
expect "forwarding" "$(api GET /v1/services/echo | jq -r .forwarding)" fullnat

for of in "$VIP 10.1.0. 10.1.0.1" "$VIP6 fd00:1:: fd00:1::1"; do
	read -r vip net own <<<"$of"
	expect "datagrams to $vip" "$(fragments client udp "$vip" 53 40)" 40
	expect "datagrams to $vip, backward" "$(fragments client udp "$vip" 53 40 8000 "${net}3")" 40
	expect "datagrams to $vip and back, backward" \
		"$(fragments client udp "$vip" 54 40 8000 "${net}4")" 40
	expect "clients that number alike" \
		"$(fragments client twins "$vip" 55 20 "${net}5" "${net}6")" 20
	port=30853
	[ "$vip" = "$VIP" ] || port=30856
	expect "datagrams to a node port" "$(fragments client udp "$own" "$port" 20)" 20
done
for n in "${BACKENDS[@]}"; do
	for e in "172.17.0.$n:5353" "[fd00:17::$n]:5353"; do
		[ "$(endpoint_metric packets_total "$e")" -gt 0 ] || fail "$e had none"
	done
done
expect "TCP" "$(fragments client tcp "$VIP" 80 $((1 << 20)))" same

for a in 172.17.0.1 fd00:17::1; do
	expect "an endpoint's datagrams to the host, $a" "$(fragments backend5 udp "$a" 7777 20)" 20
done
for a in 172.17.0.5 fd00:17::5; do
	expect "the host's own datagrams to $a" "$(fragments lb udp "$a" 5353 20)" 20
done
expect "drops" "$(metrics sluice_dropped_packets_total)" 0

# What never becomes whole, of a client or of an endpoint.
fragments client later 10.1.0.99 "$VIP" 200
fragments backend7 later 172.17.0.7 172.17.0.1 200
expect "datagrams beside" "$(fragments client udp "$VIP" 53 20)" 20
wait_for 10 dropped_is fragment 400 || fail "$(dropped fragment) of 400 fragments dropped"
expect "drops" "$(metrics sluice_dropped_packets_total)" 400

# What does not fit the way to the endpoints is cut; their answers they cut themselves.
on client sysctl -qw net.ipv4.ip_no_pmtu_disc=1
for n in "${BACKENDS[@]}"; do
	ip -n "$(netns "backend$n")" route add 172.17.0.1 dev eth0 mtu lock 1300
done
ip -n "$(netns lb)" link set eth1 mtu 1300
wait_up echo 4
expect "datagrams of 1472 bytes" "$(fragments client udp "$VIP" 53 40 1472)" 40
expect "packets made by cutting" "$(metrics sluice_split_packets_total)" 40
# Five of 1500 bytes and a small one.
expect "datagrams of 8000 bytes" "$(fragments client udp "$VIP" 53 40)" 40
expect "packets made by cutting" "$(metrics sluice_split_packets_total)" 240
expect "drops" "$(metrics sluice_dropped_packets_total)" 400
finish
