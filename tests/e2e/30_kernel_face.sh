#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A port without a kernel driver has a TAP as its kernel face: addresses, ARP, ND, ping, ssh-like
# connections and what the host itself sends work on it as on any interface, while the services'
# traffic never gets there. The port is a raw socket on a veth whose own kernel side is deaf, which
# is all that differs from a network card.
#
#   client 10.1.0.2  --+
#                      |            eth0 (deaf)
#   backends 172.17 ---+-- fabric -- lb: up0 (TAP) 10.1.0.1/24, 172.17.0.1/16 ...

set -euo pipefail
. "$(dirname "$0")/topology.sh"

face_config() {
	config "$1"
	sed -i "s#'af_xdp:eth0'#'vdev:net_af_packet0,iface=eth0', interface: up0#" "$WORK/sluice.yaml"
}

begin kernel-face
one_arm
ip -n "$(netns lb)" address flush dev eth0
on lb sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1
on lb nft add table netdev deaf
on lb nft add chain netdev deaf in '{ type filter hook ingress device eth0 priority 0; policy drop; }'
serve_http "${BACKENDS[@]}"
face_config "$(service web "$VIP" 8080 TCP 172.17.0.{5,7,8,9}:8080)"
start_sluiced
address lb up0 10.1.0.1/24 fd00:1::1/64 172.17.0.1/16 fd00:17::1/64
wait_up web 4
load 2 8 close
assert_shares 172.17.0.{5,7,8,9}
assert_no_errors
on client ping -c 3 -i 0.2 -W 2 10.1.0.1 >/dev/null || fail "no ping of the host"
on client ping -c 3 -i 0.2 -W 2 "$VIP" >/dev/null || fail "no ping of the virtual IP"
on client ping -c 3 -i 0.2 -W 2 fd00:1::1 >/dev/null || fail "no ping of the host over IPv6"
expect "the host's own request" "$(on lb curl -sS --max-time 5 http://172.17.0.5:8080/)" 172.17.0.5

# A crash is a pause: the face stays, with its addresses and routes, and no connection breaks.
hold 1 20
wait_for 10 all_held || fail "downloads do not start"
before=$(resets)
kill_sluiced
ip -n "$(netns lb)" address show dev up0 | grep -q 10.1.0.1 || fail "the face's address went"
start_sluiced
assert_all_held 40
expect "resets over a crash" "$(resets)" "$before"
on client ping -c 1 -W 2 10.1.0.1 >/dev/null || fail "no ping of the host after a crash"
finish
