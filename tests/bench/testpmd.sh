# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dpdk-testpmd, as the one to compare with and as the other end of a link. Source it after series.sh.
# A process has one core: its forwarding thread and its main one, which sleeps.
#
# The generator makes FLOWS flows of UDP, each to an address of its own from 10.253.0.0 on, counts
# what comes back and drops it. The MACs are those that its packets always have.

FLOWS=64
ENDPOINT=172.17.0.5
FLOWGEN_PORT=1001
GENERATOR_MAC=00:01:02:03:04:00
MAC=00:01:02:03:04:01
export MAC

# testpmd NAME HOST CORE MODE DEVICE [EAL ARGUMENT]... [-- ARGUMENT...]
testpmd() {
	local name=$1 host=$2 core=$3 mode=$4 device=$5 eal=(-m 256)

	shift 5
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		eal+=("$1")
		shift
	done
	[ $# -eq 0 ] || shift
	spawn "$name" "$host" dpdk-testpmd --lcores="0@$core,1@$core" --no-huge --single-file-segments \
		--no-pci --no-telemetry --file-prefix="$RUN-$name" --log-level=error --vdev="$device" \
		"${eal[@]}" -- --forward-mode="$mode" --auto-start --nb-cores=1 --stats-period=1 \
		--port-topology=loop --total-num-mbufs=16384 --disable-link-check "$@"
}

# generator HOST CORE DEVICE
generator() {
	testpmd generator "$1" "$2" flowgen "$3" -- --flowgen-flows="$FLOWS"
}

# received NAME: millions of packets a second that come in there, over SECONDS_EACH from now.
received() {
	local log=$WORK/$1.log before

	before=$(grep -ac 'Rx-pps:' "$log" 2>/dev/null) || before=0
	wait_for $((SECONDS_EACH + 20)) seen "$log" $((before + SECONDS_EACH + 1)) ||
		fail "$1 prints no rates: $(tail -n 3 "$log")"
	grep -a 'Rx-pps:' "$log" | tail -n "$SECONDS_EACH" |
		awk '{ sum += $2 } END { if (!sum) exit 1; printf "%.6f\n", sum / NR / 1e6 }' ||
		fail "$1: no packet comes back"
}

seen() { [ "$(grep -ac 'Rx-pps:' "$1")" -ge "$2" ]; }

# flowgen_services: YAML of a service for each of the generator's flows.
flowgen_services() {
	local i

	for ((i = 0; i < FLOWS; i++)); do
		service "flow$i" "10.253.0.$i" "$FLOWGEN_PORT" UDP "$ENDPOINT:8080"
	done
}

# endpoint_at IFACE: the load balancer's addresses there, and the endpoint, which is the generator. A
# kernel face keeps them from one start to the next.
endpoint_at() {
	ip -n "$(netns lb)" address replace 172.17.0.1/16 dev "$1"
	ip -n "$(netns lb)" route replace 10.254.0.0/16 dev "$1" # where the generator is
	ip -n "$(netns lb)" neighbour replace "$ENDPOINT" lladdr "$GENERATOR_MAC" dev "$1" nud permanent
}
