#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Two links as one port, by DPDK's bonding driver: one carries everything while the other waits, or
# both carry their share. The members are raw sockets on veths whose own kernel side is deaf, which is
# all that differs from network cards.
#
#   client 10.1.0.2  --+            eth0, eth2 (deaf)
#                      |===========
#   backends 172.17 ---+-- fabric -- lb: up0 (TAP) 10.1.0.1/24, 172.17.0.1/16

set -euo pipefail
. "$(dirname "$0")/topology.sh"

MEMBERS=('--vdev=net_af_packet0,iface=eth0' '--vdev=net_af_packet1,iface=eth2')

# bond_config MODE
bond_config() {
	config "$(service web "$VIP" 8080 TCP 172.17.0.{5,7,8,9}:8080)"
	sed -i "s#'af_xdp:eth0'#'bond:$1,net_af_packet0,net_af_packet1', interface: up0#" \
		"$WORK/sluice.yaml"
}

sent() { on lb cat "/sys/class/net/$1/statistics/tx_packets"; }

# carries MODE COUNT: requests are answered and spread, over COUNT of the links.
carries() {
	local eth0 eth2 links

	eth0=$(sent eth0) eth2=$(sent eth2)
	load 1 8 close
	assert_shares 172.17.0.{5,7,8,9}
	assert_no_errors
	links=$(($(sent eth0) - eth0 > 1000 ? 1 : 0))
	links=$((links + ($(sent eth2) - eth2 > 1000 ? 1 : 0)))
	expect "links that carried $1" "$links" "$2"
}

begin bond
one_arm
link lb eth2 fabric to-lb2
ip -n "$(netns fabric)" link set to-lb2 master br0
ip -n "$(netns lb)" address flush dev eth0
on lb sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1 net.ipv6.conf.eth2.disable_ipv6=1
on lb nft add table netdev deaf
on lb nft add chain netdev deaf in \
	'{ type filter hook ingress devices = { eth0, eth2 } priority 0; policy drop; }'
serve_http "${BACKENDS[@]}"

bond_config active-backup
start_sluiced "$WORK/sluice.yaml" -- "${MEMBERS[@]}"
address lb up0 10.1.0.1/24 fd00:1::1/64 172.17.0.1/16 fd00:17::1/64
wait_up web 4
carries active-backup 1
on client ping -c 3 -i 0.2 -W 2 10.1.0.1 >/dev/null || fail "no ping of the host"
stop_sluiced

bond_config balance-xor
start_sluiced "$WORK/sluice.yaml" -- "${MEMBERS[@]}"
wait_up web 4
carries balance-xor 2
expect "members whose link is up" "$(metrics sluice_port_member_up)" 2

# A crash is a pause.
hold 1 20
wait_for 10 all_held || fail "downloads do not start"
before=$(resets)
kill_sluiced
start_sluiced "$WORK/sluice.yaml" -- "${MEMBERS[@]}"
assert_all_held 40
expect "resets over a crash" "$(resets)" "$before"
finish
