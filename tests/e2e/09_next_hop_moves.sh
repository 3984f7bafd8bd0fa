#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A next hop gets another MAC address: a backend that says so (gratuitous ARP), one that does not,
# and the client.
#
#   client ------ lb ------ fabric ------ backend5: 02:...:01, then 02:...:02, then 02:...:03

set -euo pipefail
. "$(dirname "$0")/topology.sh"

move() { ip -n "$(netns "$1")" link set eth0 address "$2"; }

begin next-hop-moves
two_arm
serve_http 5
# The kernel's patience, 30 s by default, in seconds of a test.
for iface in eth0 eth1; do
	on lb sysctl -qw "net.ipv4.neigh.$iface.base_reachable_time_ms=1000" \
		"net.ipv4.neigh.$iface.delay_first_probe_time=1" \
		"net.ipv4.neigh.$iface.retrans_time_ms=200" "net.ipv4.neigh.$iface.locktime=0"
done
start_with "$(service web "$VIP" 8080 TCP 172.17.0.5:8080)"
wait_up web 1
expect "before" "$(get)" 172.17.0.5

on backend5 sysctl -qw net.ipv4.conf.all.arp_notify=1 net.ipv4.conf.eth0.arp_notify=1
move backend5 02:00:00:00:05:02
wait_for 3 get || fail "no answer after a gratuitous ARP"

on backend5 sysctl -qw net.ipv4.conf.all.arp_notify=0 net.ipv4.conf.eth0.arp_notify=0
move backend5 02:00:00:00:05:03
wait_for 12 get || fail "no answer from a backend that moved silently"

move client 02:00:00:00:01:02
wait_for 12 get || fail "no answer for a client that moved"
load 1 8 close
assert_no_errors
finish
