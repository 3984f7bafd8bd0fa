#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# process [-r ROUNDS] [-s SECONDS]: the packets a second that the whole process forwards on one core,
# without a kernel or another process at the other end, next to testpmd's io, macswap and 5tswap on
# the same port: net_pcap with infinite_rx, which copies the next frame of a capture for each packet
# received and drops what is sent. (net_null receives nothing but zeros, which is no service's.)
# 16 queues of 4,095 frames each: as many flows as there are frames, near enough 64 Ki, which is
# more than the packet buffers of one queue could hold.

set -euo pipefail
. "$(dirname "$0")/../e2e/topology.sh"
. "$(dirname "$0")/series.sh"
. "$(dirname "$0")/testpmd.sh"

PCAP_QUEUES=16
FRAMES=4095 # net_pcap's ring of them has a power of two less one

device() {
	local i text=net_pcap0

	for ((i = 0; i < PCAP_QUEUES; i++)); do text+=",rx_pcap=$WORK/$i.pcap"; done
	say "$text,infinite_rx=1"
}

# with_testpmd MODE
with_testpmd() {
	testpmd "$1" lb 1 "$1" "$(device)" -m 512 -- --total-num-mbufs=100000 \
		--rxq="$PCAP_QUEUES" --txq="$PCAP_QUEUES"
	series_add "$1" "$(received "$1")"
	stop "$1"
	rm "$WORK/$1.log"
}

transmitted() { metrics sluice_port_transmit_packets_total; }

# The traffic never ends, so the counters are never at rest to be added up. There must be no drop
# once the endpoint is up: packets come before it is.
with_sluice() {
	local before after begin end dropped

	start_sluiced
	wait_for 10 endpoint_at up0 || fail "no face"
	wait_up web 1
	sleep 1 # every flow is known by then
	dropped=$(metrics sluice_dropped_packets_total)
	before=$(transmitted) begin=${EPOCHREALTIME/[^0-9]/}
	sleep "$SECONDS_EACH"
	after=$(transmitted) end=${EPOCHREALTIME/[^0-9]/}
	[ "$after" -gt "$before" ] || fail "sluice forwards nothing"
	series_add sluice "$(awk -v n=$((after - before)) -v us=$((end - begin)) 'BEGIN { print n / us }')"
	expect "dropped packets" "$(metrics sluice_dropped_packets_total)" "$dropped"
	stop sluiced
	expect "exit status of a stopped sluiced" "${EXITS[sluiced]}" 0
}

one_round() {
	local mode

	for mode in io macswap 5tswap; do with_testpmd "$mode"; done
	with_sluice
}

begin bench-process
host lb
"$PYTHON" "$(dirname "$0")/frames.py" "$WORK" "$PCAP_QUEUES" "$FRAMES"
LB_PORTS=()
CORES='[1]' IDLE=poll config "$(service web "$VIP" 8080 TCP "$ENDPOINT:8080")"
sed -i -e "s#^ports:#&\n  - {device: 'vdev:$(device)', queues: $PCAP_QUEUES, interface: up0}#" \
	-e 's/capacity: 65536/capacity: 131072/' "$WORK/sluice.yaml"
remark "net_pcap with infinite_rx, $PCAP_QUEUES queues, $((PCAP_QUEUES * FRAMES)) flows, 64-byte TCP, one core."
rounds one_round
for mode in io macswap 5tswap; do
	aim=-
	[ $mode != 5tswap ] || aim='ratio>=0.5'
	row "whole process, nat, 64 Ki flows" "million packets/s" sluice "testpmd $mode" "$mode" "$aim"
done
