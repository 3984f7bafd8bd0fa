#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# 10_deploy.sh [DRIVER]...: README's deployment, its own words, on a machine whose card DPDK drives:
# the package, hugepages, the card, the unit. Then the service answers, spreads, scales 1 -> 4 -> 2
# without a failed request, and everything that is no service's still reaches the machine's kernel; a
# crash and a reboot are got over without help. With several drivers (virtio-net-pci, vmxnet3, e1000e)
# there is a card for each, and all but the deployment is done with one after the other; `bond` is the
# first card together with another one like it.
#
#   client -------------- router --------- wire ----+-- 0000:03:00.0: 192.0.2.10, the machine
#   203.0.113.2  203.0.113.1   192.0.2.1            +-- backends 192.0.2.5, .7, .8, .9

# shellcheck disable=SC2016 # what stands in single quotes is for the machine
set -euo pipefail
. "$(dirname "$0")/../e2e/topology.sh"
. "$(dirname "$0")/machine.sh"

[ $# -gt 0 ] || set -- vmxnet3
DRIVERS=("$@")

# --- the network ------------------------------------------------------------------------------

network() {
	local n bus=3 driver

	host client router
	switch wire
	link client eth0 router eth0
	plug router eth1 wire
	forwards router
	address client eth0 203.0.113.2/24
	address router eth0 203.0.113.1/24
	address router eth1 192.0.2.1/24
	route client default via 203.0.113.1
	count_resets
	for n in "${BACKENDS[@]}"; do
		host "backend$n"
		plug "backend$n" eth0 wire
		address "backend$n" eth0 "192.0.2.$n/24"
		route "backend$n" default via 192.0.2.10
	done
	serve_http "${BACKENDS[@]}"
	router_speaks_bgp
	for driver in "${DRIVERS[@]}"; do
		driver=${driver/bond/$FIRST_DRIVER}
		machine_card wire "$bus" "$driver" "$(queues_of "$driver")"
		bus=$((bus - 1))
	done
}

# The router's only way to know the virtual IP. Its timers are short, a reboot shall be noticed.
router_speaks_bgp() {
	cat >"$WORK/router.conf" <<-CONFIG
		router id 192.0.2.1;
		protocol device { }
		protocol kernel { ipv4 { import none; export all; }; }
		protocol bgp sluice {
		    local 192.0.2.1 as 64512;
		    neighbor 192.0.2.10 as 64513;
		    hold time 20;
		    connect retry time 2;
		    connect delay time 1;
		    error wait time 1, 2;
		    ipv4 { import all; export none; };
		}
	CONFIG
	spawn bird router "$VM/router/ld-linux-x86-64.so.2" --library-path "$VM/router" "$VM/router/bird" \
		-f -c "$WORK/router.conf" -s "$WORK/router.ctl"
}

# QEMU's vmxnet3 has two queues, and uses the first.
queues_of() { case $1 in e1000e) say 1 ;; *) say 2 ;; esac }

# --- README's words ---------------------------------------------------------------------------

# step N: the indented lines of the deployment's step N, for the card that is tried.
step() {
	awk -v step="$1" '
		/^## / { deploy = /^## Deploy/ }
		deploy && /^[0-9]+\. / { here = $1 == step "." }
		deploy && here && /^        / { print substr($0, 9) }' "$ROOT/README.md" |
		sed "s/0000:03:00.0/$CARD/; s/queues: 2/queues: $QUEUES/"
}

# do_step N [PATTERN]: its commands (those that match), there and one after the other.
do_step() {
	local commands

	commands=$(step "$1" | grep -E "${2:-.}")
	[ -n "$commands" ] || fail "README's step $1 has no such command"
	say "--- step $1: $commands" >>"$WORK/steps.log"
	in_machine "set -e; cd /root/sluice; $commands" </dev/null >>"$WORK/steps.log" 2>&1 ||
		fail "README's step $1: $(tail -n 5 "$WORK/steps.log")"
}

# A file that the step shows is put where it says.
put_step() { step "$1" | in_machine "mkdir -p \$(dirname $2) && cat >$2"; }

deploys() {
	in_machine 'mkdir sluice && cat >sluice_0_amd64.deb' <"$DEB"
	IN_MACHINE_SECONDS=120 do_step 1 '^apt-get install'
	do_step 2 host-setup
	part machine_reboot
	do_step 3
	put_step 4 /etc/sluice/sluice.yaml
	put_step 5 /etc/systemd/network/up0.network
	do_step 6
	put_step 7 /etc/bird/bird.conf
	in_machine 'birdc configure' >/dev/null
}

# --- what is to be seen -----------------------------------------------------------------------

lb_metrics() { in_machine 'curl -sf http://127.0.0.1:9690/metrics'; }
lb_is_up() { [ "$(lb_metrics | sum_of sluice_endpoint_up service=tomcat)" -eq "$1" ]; }

# rx + split = tx + passed + drops; packets in a worker's hands settle in a moment.
lb_balance() {
	local text

	text=$(lb_metrics)
	say $(($(sum_of sluice_port_receive_packets_total <<<"$text") + \
		$(sum_of sluice_split_packets_total <<<"$text") - \
		$(sum_of sluice_port_transmit_packets_total <<<"$text") - \
		$(sum_of sluice_passed_packets_total <<<"$text") - \
		$(sum_of sluice_dropped_packets_total <<<"$text")))
}
lb_is_conserved() { [ "$(lb_balance)" -eq 0 ]; }

ctl_in_machine() { in_machine "sluicectl $*" >/dev/null; }

# What README's last step says, on the host and on the client.
is_up() {
	wait_for 120 lb_is_up 2 || fail "the endpoints are not up: $(in_machine 'journalctl -n 20 -u sluiced')"
	wait_for 60 answered || fail "the virtual IP does not answer"
	wait_for 60 bgp_stands || fail "no BGP session: $(in_machine 'birdc show protocols')"
	do_step 8 sluicectl
	do_step 8 ping
	do_step 8 birdc
	in_machine 'birdc show route export uplink' | grep -q "^$VIP/32" || fail "no route for the router"
	in_machine 'sluicectl status' >"$WORK/status"
	in_machine 'grep -q "HugePages_Free: *$(cat /proc/sys/vm/nr_hugepages)$" /proc/meminfo' &&
		fail "hugepages are not used"
	grep -q '^Memory:.*hugepages' "$WORK/status" || fail "hugepages are not used: $(cat "$WORK/status")"
}
answered() { get; }
bgp_stands() { in_machine 'birdc show protocols uplink' | grep -q Established; }

# What is no service's is the kernel's, as on any interface.
kernel_answers() {
	on client ping -c 3 -i 0.2 -W 5 192.0.2.10 >/dev/null || fail "no ping of the host"
	on client ping -c 3 -i 0.2 -W 5 "$VIP" >/dev/null || fail "no ping of the virtual IP"
	expect "the host's own request" "$(in_machine 'curl -sS --max-time 5 http://192.0.2.5:8080/')" 192.0.2.5
	expect "ssh to the host" "$(on client "${SSH[@]}" root@192.0.2.10 'echo "$SSH_CONNECTION"' |
		cut -d ' ' -f 1,3)" "203.0.113.2 192.0.2.10"
	# Larger than one packet, both ways.
	on client "${SSH[@]}" root@192.0.2.10 cat <"$WORK/www/slow" | sha256sum | cut -d ' ' -f 1 |
		diff - "$WORK/www/slow.sha256" ||
		fail "a session with the host breaks"
}

scales() {
	local e=:8080

	ctl_in_machine "set endpoints tomcat 192.0.2.5$e"
	wait_for 10 lb_is_up 1 || fail "not one endpoint up"
	rm -f "$WORK/wrk.log"
	spawn wrk client wrk -d 12s -c 16 -t 1 --timeout 5s -H 'Connection: close' \
		-s "$ROOT/tests/e2e/load.lua" "http://$VIP:8080/"
	ctl_in_machine "set endpoints tomcat 192.0.2.5$e 192.0.2.7$e 192.0.2.8$e 192.0.2.9$e"
	wait_for 10 lb_is_up 4 || fail "not four endpoints up"
	load 2 8 close
	assert_no_errors
	assert_shares 192.0.2.{5,7,8,9}
	ctl_in_machine "drain endpoint tomcat 192.0.2.8$e 192.0.2.9$e"
	wait_for 20 gone wrk || fail "wrk does not end"
	grep '^{' "$WORK/wrk.log" >"$WORK/load.json"
	assert_no_errors
	if [ "$DRIVER" = virtio-net-pci ]; then
		expect "workers that had their share" "$(lb_metrics |
			awk '/^sluice_worker_packets_total/ && $2 > 100 { n++ } END { print n + 0 }')" "$QUEUES"
	fi
	wait_for 5 lb_is_conserved || fail "packets do not add up: $(lb_balance)"
	ctl_in_machine "set endpoints tomcat 192.0.2.5$e 192.0.2.7$e"
}

# change WHAT: curl's arguments, to add or remove an endpoint. A program for each change would take
# longer than the change.
change() {
	say "-sSf --unix-socket /run/sluice/sluice.sock -X PATCH" \
		"-d '{\"$1\": [{\"ip\": \"192.0.2.8\", \"port\": 8080}]}'" \
		"http://sluice/v1/services/tomcat/endpoints"
}
comes_and_goes() { say "$(change add) --next $(change remove)"; }

# 100 downloads, and 50 times an endpoint comes or goes: none breaks. Nor does one when the daemon is
# killed under them. QEMU's virtio-net sends next to nothing after its driver was killed with packets
# on their way, until the driver is started once more: there it is not.
keeps_connections() {
	local before

	rm -f "$WORK/hold.log"
	hold 2 100 "http://$VIP:8080/slow?rate=32k"
	wait_for 30 all_held || fail "not 100 downloads at once: $(tail -n 3 "$WORK/hold.log")"
	before=$(resets)
	for _ in {1..5}; do
		in_machine "curl $(comes_and_goes) --next $(comes_and_goes) --next $(comes_and_goes) \
			--next $(comes_and_goes) --next $(comes_and_goes)" >/dev/null ||
			fail "an endpoint does not come or go"
	done
	alive hold || fail "the downloads ended before the changes did: $(tail -n 3 "$WORK/hold.log")"
	if [ "$DRIVER" != virtio-net-pci ]; then
		in_machine 'kill -9 $(pidof sluiced)'
		wait_for 30 lb_is_up 2 ||
			fail "not up again after a crash: $(in_machine 'journalctl -n 20 -u sluiced')"
		alive hold || fail "the downloads ended before the crash: $(tail -n 3 "$WORK/hold.log")"
	fi
	assert_all_held 90
	expect "resets" "$(resets)" "$before"
	wait_for 5 lb_is_conserved || fail "packets do not add up: $(lb_balance)"
	on client ping -c 1 -W 5 192.0.2.10 >/dev/null || fail "no ping of the host"
}

members_are_up() { [ "$(lb_metrics | sum_of sluice_port_member_up)" -eq "$1" ]; }

on_failure() {
	warn "failed (exit $1)${FAILED_AT:+ at $FAILED_AT}"
	[ -z "${SWITCH-}" ] || in_machine 'journalctl -n 40 -u sluiced; ip -br address; ip neighbour; sluicectl doctor' >&2 || true
	warn "the console: $WORK/machine.log; what the steps said: $WORK/steps.log"
}

# VERBOSE=1 shows how long each part took.
part() {
	local start=$SECONDS

	"$@"
	[ -z "${VERBOSE-}" ] || say "$((SECONDS - start)) s: $*"
}

# next_card BUS DRIVER: the card before is the kernel's again, and sluice takes this one; or this one
# and the first as one. The neighbours would find out in some seconds that the address is another
# card's now.
next_card() {
	local n

	in_machine "systemctl stop sluiced && sluice-nic unbind $CARD" >>"$WORK/steps.log" 2>&1 ||
		fail "the kernel does not get $CARD back: $(tail -n 5 "$WORK/steps.log")"
	CARD=0000:0$1:00.0 DRIVER=$2
	QUEUES=$(queues_of "${DRIVER/bond/$FIRST_DRIVER}")
	do_step 3 bind
	put_step 4 /etc/sluice/sluice.yaml
	if [ "$DRIVER" = bond ]; then
		CARD=$FIRST_CARD do_step 3 bind
		in_machine 'sluice-host-setup --apply --ports 2 --queues 2' >>"$WORK/steps.log" ||
			fail "no pages for a second card: $(tail -n 5 "$WORK/steps.log")"
		in_machine "sed -i 's/pci:/bond:active-backup,$FIRST_CARD,/' /etc/sluice/sluice.yaml"
	fi
	in_machine 'systemctl start sluiced'
	ip -n "$(netns router)" neighbour flush dev eth1
	for n in "${BACKENDS[@]}"; do
		ip -n "$(netns "backend$n")" neighbour flush dev eth0
	done
}

DEB=$(find "$ROOT/build-package" -name 'sluice_*_amd64.deb')
begin vm
FIRST_CARD=0000:03:00.0 FIRST_DRIVER=$1
CARD=$FIRST_CARD DRIVER=$1
QUEUES=$(queues_of "$DRIVER")
network
part machine wire
part deploys
part is_up
part kernel_answers
part scales
part keeps_connections
part machine_reboot
part is_up
part kernel_answers
bus=3
for driver in "${DRIVERS[@]:1}"; do
	bus=$((bus - 1))
	part next_card "$bus" "$driver"
	part is_up
	part kernel_answers
	part scales
	if [ "$driver" = bond ]; then
		wait_for 10 members_are_up 2 || fail "not both links of the bond are up"
	else
		part keeps_connections
	fi
done
