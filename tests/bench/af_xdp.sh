#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# af_xdp [-r ROUNDS] [-s SECONDS]: the packets a second that come back over a veth pair: from sluice
# (nat, UDP) on AF_XDP, next to testpmd's macswap on AF_XDP and to the kernel's nftables DNAT at the
# same end.
#
#   client: eth0 (testpmd flowgen on AF_XDP, core 0) ------ lb: eth0 (core 1)

set -euo pipefail
. "$(dirname "$0")/../e2e/topology.sh"
. "$(dirname "$0")/series.sh"
. "$(dirname "$0")/testpmd.sh"

device() { say "net_af_xdp0,iface=eth0,force_copy=1"; }

measure() {
	generator client 0 "$(device)"
	series_add "$1" "$(received generator)"
	stop generator
	rm -f "$WORK/generator.log"
}

# The link is new each time, so that nothing of the one before is left on it.
begin_link() {
	link client eth0 lb eth0
	ip -n "$(netns client)" link set eth0 address "$GENERATOR_MAC"
	ip -n "$(netns lb)" link set eth0 address "$MAC"
	endpoint_at eth0
}
end_link() { ip -n "$(netns lb)" link del eth0; }

with_testpmd() {
	begin_link
	testpmd macswap lb 1 macswap "$(device)"
	measure testpmd
	stop macswap
	end_link
}

with_sluice() {
	begin_link
	start_sluiced
	wait_up flow0 1
	measure sluice
	stop_sluiced
	end_link
}

with_nftables() {
	begin_link
	on lb nft -f - <<-RULES
		table ip bench {
			chain in {
				type nat hook prerouting priority dstnat;
				ip daddr 10.253.0.0/16 udp dport $FLOWGEN_PORT dnat to $ENDPOINT:8080
			}
		}
	RULES
	measure nftables
	on lb nft delete table ip bench
	end_link
}

one_round() {
	with_testpmd
	with_sluice
	with_nftables
}

begin bench-af-xdp
host client lb
forwards lb
on lb sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0
LB_PORTS=(eth0)
CORES='[1]' IDLE=poll config "$(flowgen_services)"
remark "AF_XDP on a veth pair, copying, a core each end; $FLOWS flows of 64-byte UDP, there and back."
rounds one_round
row "veth, there and back" "million packets/s" sluice "testpmd macswap" testpmd 'ratio>=0.95'
row "veth, there and back" "million packets/s" sluice "nftables DNAT" nftables 'ratio>=1'
