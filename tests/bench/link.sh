#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# link [-r ROUNDS] [-s SECONDS]: the packets a second that come back over a vhost-user / virtio-user
# link between two processes: from sluice (nat, UDP), next to testpmd's macswap at the same end.
# Neither uses hugepages unless the machine has some for sluice.
#
#   generator (testpmd flowgen, vhost-user, core 0) ==== sluiced or testpmd (virtio-user, core 1)

set -euo pipefail
. "$(dirname "$0")/../e2e/topology.sh"
. "$(dirname "$0")/series.sh"
. "$(dirname "$0")/testpmd.sh"

device() { say "net_virtio_user0,path=$WORK/link.sock,mac=$MAC,queue_size=1024"; }

begin_generator() {
	rm -f "$WORK/link.sock" "$WORK/generator.log"
	generator client 0 "net_vhost0,iface=$WORK/link.sock"
	wait_for 40 [ -S "$WORK/link.sock" ] || fail "no vhost-user socket: $(cat "$WORK/generator.log")"
}

with_testpmd() {
	begin_generator
	testpmd macswap lb 1 macswap "$(device)"
	sleep 2 # until both have found the link up: neither says so
	series_add testpmd "$(received generator)"
	stop generator
	stop macswap
}

with_sluice() {
	begin_generator
	start_sluiced "$WORK/sluice.yaml" -- --single-file-segments
	wait_for 10 endpoint_at up0 || fail "no face"
	wait_up flow0 1
	series_add sluice "$(received generator)"
	stop generator
	stop_sluiced
}

one_round() {
	with_testpmd
	with_sluice
}

begin bench-link
host client lb
LB_PORTS=()
CORES='[1]' IDLE=poll config "$(flowgen_services)"
sed -i "s#^ports:#&\n  - {device: 'vdev:$(device)', interface: up0}#" "$WORK/sluice.yaml"
remark "vhost-user / virtio-user between two processes, a core each; $FLOWS flows of 64-byte UDP."
rounds one_round
row "vhost-user link, there and back" "million packets/s" sluice "testpmd macswap" testpmd 'ratio>=0.8'
