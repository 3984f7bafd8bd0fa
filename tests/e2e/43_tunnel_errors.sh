#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What goes wrong inside a tunnel, between the load balancer and the endpoint, the client hears of
# in terms of its own packet: a narrow link, less the tunnel's header, and an endpoint that is not
# there. All mixes of families inside and outside.
#
#   client -- lb -- fabric ------ router ------------ farm -- backend5 172.18.0.5 fd00:18::5
#             VIP   172.17.0.254          1400 ->

set -euo pipefail
. "$(dirname "$0")/topology.sh"

probe() { on client "$PYTHON" "$ROOT/tests/e2e/icmp.py" "$@"; }

# narrow NET METRIC: the router knows that this way carries 1400 bytes, and its own ports don't.
narrow() { ip -n "$(netns router)" route replace "$1" dev eth1 metric "$2" mtu lock 1400; }

# Four services a family: over a tunnel of either family, to an endpoint and to nobody.
services() {
	EXTRA="forwarding: $1"
	service four "$VIP" 1004 UDP 172.18.0.5:1004
	service six "$VIP" 1006 UDP '[fd00:18::5]:1006'
	service nobody4 "$VIP" 1014 UDP 172.18.0.99:1014
	service nobody6 "$VIP" 1016 UDP '[fd00:18::99]:1016'
	service four_6 "$VIP6" 1004 UDP 172.18.0.5:1004
	service six_6 "$VIP6" 1006 UDP '[fd00:18::5]:1006'
	service nobody4_6 "$VIP6" 1014 UDP 172.18.0.99:1014
	service nobody6_6 "$VIP6" 1016 UDP '[fd00:18::99]:1016'
}

forwards_by() { [ "$(ctl -o json get services | jq -r '[.. | .forwarding? // empty] | unique[]')" = "$1" ]; }

# fits PORT MTU: no more than that goes through the tunnel behind the port.
fits() {
	expect "$mode, port $1" "$(probe "$VIP" "$1" 64 $(($2 + 1)))" "error 3/4 from $VIP mtu $2"
	expect "$mode, port $1, IPv6" "$(probe "$VIP6" "$1" 64 $(($2 + 1)))" \
		"error 2/0 from $VIP6 mtu $2"
}

leads_nowhere() {
	expect "$mode, port $1" "$(probe "$VIP" "$1")" "error 3/1 from $VIP"
	expect "$mode, port $1, IPv6" "$(probe "$VIP6" "$1")" "error 1/3 from $VIP6"
}

forget() {
	ip -n "$(netns client)" route flush cache
	ip -n "$(netns client)" -6 route flush cache
}

begin tunnel-errors
routed
narrow 172.18.0.0/16 0
narrow fd00:18::/64 256
# It gives up on a neighbour after a second.
on router sysctl -qw net.ipv4.neigh.eth1.mcast_solicit=1 net.ipv6.neigh.eth1.mcast_solicit=1
start_with "$(services ipip)"
for s in four six nobody4 nobody6 four_6 six_6 nobody4_6 nobody6_6; do wait_up "$s" 1; done

mode=ipip
fits 1004 1380
forget
fits 1006 1360
leads_nowhere 1014
leads_nowhere 1016

mode=gue
config "$(services gue)"
reload_sluiced
wait_for 5 forwards_by gue || fail "still not gue"
forget
fits 1004 1372
forget
fits 1006 1352
leads_nowhere 1014
leads_nowhere 1016
expect "drops" "$(metrics sluice_dropped_packets_total)" 0
finish
