#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# 10_nic.sh [DRIVER [QUEUES]]: a machine whose network card DPDK drives, under an IOMMU, with
# hugepages: services answered and spread, scaled 1 -> 4 -> 2 without a failed request, ping and a
# session with the host itself through the card's kernel face; with vmxnet3 also a crash that nobody
# notices (an emulated virtio-net receives nothing after its driver was killed). By default with
# vmxnet3 on one queue and virtio-net on two.
#
#   client 10.1.0.2  --+
#                      |        card at 0000:00:10.0, kernel face up0
#   backends 172.17 ---+-- wire -- lb (a virtual machine): 10.1.0.1/24, 172.17.0.1/16

# shellcheck disable=SC2016 # what stands in single quotes is for the machine
set -euo pipefail
. "$(dirname "$0")/../e2e/topology.sh"
. "$(dirname "$0")/machine.sh"

if [ $# -eq 0 ]; then
	"$0" vmxnet3 1
	exec "$0" virtio-net-pci 2
fi
DRIVER=$1
QUEUES=${2:-1}
CARD=0000:00:10.0
CTL=$BUILD/control/ctl/sluicectl

lb() { in_machine lb "$@"; }

lb_config() {
	cat <<-CONFIG
		ports:
		  - {device: 'pci:$CARD', queues: $QUEUES, interface: up0}
		workers: {cores: [0$([ "$QUEUES" -eq 1 ] || printf ', 1')]}
		memory: {hugepages: require}
		flows: {capacity: 65536}
		services:
		$(service web "$VIP" 8080 TCP 172.17.0.5:8080)
	CONFIG
}

lb_start() {
	lb "nohup setsid $BUILD/control/sluiced >>/var/log/sluiced.log 2>&1 </dev/null & echo \$! >/run/sluiced.pid"
	wait_for 30 lb 'curl -sf http://127.0.0.1:9690/readyz' || fail "not ready: $(lb 'tail -n 5 /var/log/sluiced.log')"
}

lb_up() { lb "curl -s http://127.0.0.1:9690/metrics" | sum_of sluice_endpoint_up service=web; }
lb_up_is() { [ "$(lb_up)" -eq "$1" ]; }

# rx = tx + passed + drops, in the machine; packets in a worker's hands settle in a moment.
lb_balance() {
	local text

	text=$(lb 'curl -s http://127.0.0.1:9690/metrics')
	say $(($(sum_of sluice_port_receive_packets_total <<<"$text") - \
		$(sum_of sluice_port_transmit_packets_total <<<"$text") - \
		$(sum_of sluice_passed_packets_total <<<"$text") - \
		$(sum_of sluice_dropped_packets_total <<<"$text")))
}
lb_conserved() { [ "$(lb_balance)" -eq 0 ]; }

on_failure() {
	warn "failed (exit $1)${FAILED_AT:+ at $FAILED_AT}"
	lb 'tail -n 20 /var/log/sluiced.log; ip -br address; ip neighbour' || true
	warn "the console: $WORK/lb.log"
}

begin "vm-$DRIVER"
host client
switch wire
plug client eth0 wire
client_side
backend_hosts wire
serve_http "${BACKENDS[@]}"
machine_card wire 0 "$DRIVER" "$QUEUES"
machine lb wire

lb 'sysctl -qw vm.nr_hugepages=256 && modprobe vfio-pci'
lb "$ROOT/scripts/nic bind $CARD" || fail "the card is not bound to vfio-pci"
lb "mkdir -p /etc/sluice && base64 -d >/etc/sluice/sluice.yaml <<<'$(lb_config | base64 -w0)'"
lb_start
lb 'for a in 10.1.0.1/24 172.17.0.1/16 fd00:1::1/64 fd00:17::1/64; do ip address add $a dev up0; done'
wait_for 20 lb_up_is 1 || fail "the endpoint is not up"
lb 'grep -q "HugePages_Free: *256" /proc/meminfo' && fail "hugepages are not used"

on client ping -c 3 -i 0.2 -W 5 10.1.0.1 >/dev/null || fail "no ping of the host"
on client ping -c 3 -i 0.2 -W 5 "$VIP" >/dev/null || fail "no ping of the virtual IP"
expect "the host's own request" "$(lb 'curl -sS --max-time 5 http://172.17.0.5:8080/')" 172.17.0.5

spawn wrk client wrk -d 8s -c 16 -t 1 --timeout 5s -H 'Connection: close' \
	-s "$ROOT/tests/e2e/load.lua" "http://$VIP:8080/"
lb "$CTL set endpoints web 172.17.0.5:8080 172.17.0.7:8080 172.17.0.8:8080 172.17.0.9:8080"
wait_for 10 lb_up_is 4 || fail "not four endpoints up"
load 2 8 close
assert_no_errors
assert_shares 172.17.0.{5,7,8,9}
lb "$CTL drain endpoint web 172.17.0.8:8080 172.17.0.9:8080"
wait_for 20 gone wrk || fail "wrk does not end"
grep '^{' "$WORK/wrk.log" >"$WORK/load.json"
assert_no_errors
if [ "$QUEUES" -gt 1 ]; then
	lb "curl -s http://127.0.0.1:9690/metrics | awk '/^sluice_worker_packets_total/ && \$2 > 100 { n++ } END { exit n != $QUEUES }'" ||
		fail "not every worker had its share"
fi
wait_for 5 lb_conserved || fail "packets do not add up: $(lb_balance)"

if [ "$DRIVER" = vmxnet3 ]; then
	hold 1 30
	wait_for 20 all_held || fail "not 30 downloads at once"
	before=$(resets)
	lb 'kill -9 "$(cat /run/sluiced.pid)"'
	lb_start
	assert_all_held 60
	expect "resets over a crash" "$(resets)" "$before"
	on client ping -c 1 -W 5 10.1.0.1 >/dev/null || fail "no ping of the host after a crash"
fi
lb 'kill "$(cat /run/sluiced.pid)"'
