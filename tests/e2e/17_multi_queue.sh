#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Interfaces with two queues. DPDK's AF_XDP driver serves combined channels only and a veth has
# none: the daemon says so, with the command that helps, instead of losing half of the traffic.
# (Two workers on two queues: tests/packet/test_workers.c.)
#
#   client ====== lb ====== fabric ------ backends      ====: two queues

set -euo pipefail
. "$(dirname "$0")/topology.sh"

begin multi-queue
two_arm numtxqueues 2 numrxqueues 2
for iface in eth0 eth1; do on lb ethtool -L "$iface" rx 2; done
serve_http "${BACKENDS[@]}"

for queues in 1 2; do
	QUEUES=$queues config "$(service web "$VIP" 8080 TCP 172.17.0.{5,7,8,9}:8080)"
	on lb "$(program sluiced)" -c "$WORK/sluice.yaml" 2>"$WORK/refused.log" && fail "it starts"
	# shellcheck disable=SC2016 # the quotes are the message's
	grep -q 'ethtool -L eth0 rx 1`, and `queues: 1`' "$WORK/refused.log" ||
		fail "refused with: $(cat "$WORK/refused.log")"
done

# A veth's peer may not send on more queues than are received on.
on client ethtool -L eth0 tx 1
on fabric ethtool -L to-lb tx 1
for iface in eth0 eth1; do on lb ethtool -L "$iface" rx 1; done
config "$(service web "$VIP" 8080 TCP 172.17.0.{5,7,8,9}:8080)"
start_sluiced
wait_up web 4
load 1 32 close
assert_no_errors
assert_shares 172.17.0.{5,7,8,9}
expect "resets" "$(resets)" 0
finish
