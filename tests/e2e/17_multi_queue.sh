#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Two queues an interface and two workers: any worker takes any packet of a flow.
#
#   client ====== lb ====== fabric ------ backends      ====: two queues
#                 workers on cores 0 and 1

set -euo pipefail
. "$(dirname "$0")/topology.sh"

begin multi-queue
two_arm numtxqueues 2 numrxqueues 2
for iface in eth0 eth1; do
	on lb ethtool -L "$iface" rx 2 tx 2 2>/dev/null || true
done
on client ethtool -L eth0 rx 2 tx 2 2>/dev/null || true
on fabric ethtool -L to-lb rx 2 tx 2 2>/dev/null || true
serve_http "${BACKENDS[@]}"
serve_udp "${BACKENDS[@]}"
QUEUES=2 CORES='[0, 1]' config "$(
	service web "$VIP" 8080 TCP 172.17.0.{5,7,8,9}:8080
	service dns "$VIP" 53 UDP 172.17.0.{5,7,8,9}:5353
)"
start_sluiced
wait_up web 4

load 2 32 close
assert_no_errors
assert_shares 172.17.0.{5,7,8,9}
load 1 32 keepalive
assert_no_errors
expect "backends that answer" "$(ask_udp "$VIP" 53 100 | wc -l)" 4
assert_download
for worker in 0 1; do
	[ "$(metrics sluice_worker_packets_total "worker=$worker")" -gt 0 ] ||
		fail "worker $worker had nothing to do"
done
expect "resets" "$(resets)" 0
finish
