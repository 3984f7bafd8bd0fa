#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A narrow link on each side of the load balancer, which only the routers in front of them know of:
# their errors reach the endpoint and the client, each in terms of the addresses it knows.
#
#   far ------------- client ------ lb ------ fabric ------ router ----------- farm -- backend5
#   10.3.0.2  <- 1300        10.1.0.1                172.17.0.254  1300 ->             172.18.0.5
#   fd00:3::2         (routes)                       (routes)                          fd00:18::5

set -euo pipefail
. "$(dirname "$0")/topology.sh"

# farther_client: another host behind the client, over a link that carries 1300 bytes its way.
farther_client() {
	host far
	link far eth0 client eth1
	address far eth0 10.3.0.2/24 fd00:3::2/64
	address client eth1 10.3.0.1/24 fd00:3::1/64
	forwards client
	route far default via 10.3.0.1
	route far default via fd00:3::1
	route lb 10.3.0.0/24 via 10.1.0.2
	route lb fd00:3::/64 via fd00:1::2
	narrow client 10.3.0.0/24 eth1
	narrow client fd00:3::/64 eth1
}

# narrow HOST NET IFACE: takes the place of the route that came with the interface's address.
narrow() {
	local metric=0

	[[ $2 != *:* ]] || metric=256
	ip -n "$(netns "$1")" route replace "$2" dev "$3" metric "$metric" mtu lock 1300
}

# knows HOST DESTINATION: the host has learnt that the path there carries 1300 bytes.
knows() { ip -n "$(netns "$1")" route get "$2" | grep -q 'mtu 1300'; }

probe() { on client "$PYTHON" "$ROOT/tests/e2e/icmp.py" "$@"; }

# download URL CLIENT ADDRESS: whole, and the endpoint has learnt the MTU on the way.
download() {
	if knows backend5 "$2"; then fail "the endpoint knows the path to $2 already"; fi
	on far curl -sS -g --max-time 20 -o "$WORK/blob" "$1" || fail "no download from $1"
	cmp "$WORK/blob" "$WORK/www/blob" || fail "the download from $1 differs"
	knows backend5 "$2" || fail "the endpoint has not learnt the path's MTU to $2"
}

# upload FAMILY ADDRESS VIP: to the sink, whole, and the client has learnt the MTU of the path.
upload() {
	if knows client "$3"; then fail "the client knows the path to $3 already"; fi
	on client timeout 20 socat -u "OPEN:$WORK/www/blob" "TCP$1:$2:7070" || fail "no upload to $2"
	wait_for 5 grep -qx "$BLOB_BYTES" "$WORK/sunk$1" || fail "the upload to $2 did not arrive"
	knows client "$3" || fail "the client has not learnt the path's MTU to $3"
}

# sink FAMILY [OPTIONS]: on the endpoint, counts what one connection brings.
sink() {
	spawn "sink$1" backend5 socat -u "TCP$1-LISTEN:7070,reuseaddr${2-}" \
		"SYSTEM:wc -c >$WORK/sunk$1"
}

begin path-mtu
routed
farther_client
narrow router 172.18.0.0/16 eth1
narrow router fd00:18::/64 eth1
serve_http 5
serve_udp 5
sink 4
sink 6 ,ipv6only=1
start_with "$(
	service web "$VIP" 8080 TCP 172.18.0.5:8080
	service web6 "$VIP6" 8080 TCP '[fd00:18::5]:8080'
	service sink "$VIP" 7070 TCP 172.18.0.5:7070
	service sink6 "$VIP6" 7070 TCP '[fd00:18::5]:7070'
	service dns "$VIP" 53 UDP 172.18.0.5:5353
	service dns6 "$VIP6" 53 UDP '[fd00:18::5]:5353'
)"
wait_up web 1
wait_up web6 1

download "http://$VIP:8080/blob" 10.3.0.2
download "http://[$VIP6]:8080/blob" fd00:3::2
upload 4 "$VIP" "$VIP"
upload 6 "[$VIP6]" "$VIP6"

# The same of UDP, from a client that has forgotten.
ip -n "$(netns client)" route flush cache
ip -n "$(netns client)" -6 route flush cache
expect "a datagram of 1300 bytes" "$(probe "$VIP" 53 64 1300)" "answer"
expect "a datagram of 1301 bytes" "$(probe "$VIP" 53 64 1301)" "error 3/4 from 172.17.0.254 mtu 1300"
expect "a datagram of 1300 bytes, IPv6" "$(probe "$VIP6" 53 64 1300)" "answer"
expect "a datagram of 1301 bytes, IPv6" "$(probe "$VIP6" 53 64 1301)" \
	"error 2/0 from fd00:17::fe mtu 1300"
expect "resets" "$(resets)" 0
expect "drops" "$(metrics sluice_dropped_packets_total)" 0
finish
