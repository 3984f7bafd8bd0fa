#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# scripts/nic on cards that are not there: what it does, and what it refuses to do.

set -euo pipefail
. "$(dirname "$0")/fake_pci.sh"

NIC=$ROOT/scripts/nic

driver() { basename "$(readlink "$PCI/devices/$1/driver" || true)"; }
rule() { say "$RULES/60-sluice-nic-$1.rules"; }
override() { cat "$PCI/devices/$1/driver_override"; }
snapshot() { find "$SLUICE_ROOT" ! -type p -printf '%P %l %s\n' | sort; }

# answers WORDS COMMAND...: succeeds, and says so.
answers() {
	local words=$1 status=0

	shift
	"$@" >"$WORK/said" 2>&1 || status=$?
	[ "$status" = 0 ] || fail "$*: exit $status: $(cat "$WORK/said")"
	grep -qF -- "$words" "$WORK/said" || fail "$*: '$words' is not in: $(cat "$WORK/said")"
}

# refuses WORDS COMMAND...: fails, says why, and changes nothing.
refuses() {
	local words=$1 status=0 before

	shift
	before=$(snapshot)
	"$@" >"$WORK/said" 2>&1 || status=$?
	expect "exit status of $*" "$status" 1
	grep -qF -- "$words" "$WORK/said" || fail "$*: '$words' is not in: $(cat "$WORK/said")"
	diff <(say "$before") <(snapshot) || fail "$*: left something half done (above)"
}

lists_cards() {
	"$NIC" list >"$WORK/list"
	grep -Eq '^0000:01:00\.0 +eth0 +e1000e +up +0 +ssh session$' "$WORK/list" || fail "$(cat "$WORK/list")"
	grep -Eq '^0000:04:00\.0 +eth4 +virtio-pci +up +0 +default route$' "$WORK/list" || fail "$(cat "$WORK/list")"
	grep -Eq '^0000:05:00\.0 +eth5 +mlx5_core +up +0 +needs no binding$' "$WORK/list" || fail "$(cat "$WORK/list")"
	expect "lines of the list" "$(wc -l <"$WORK/list")" 7
	expect "bridges among the cards" "$(grep -c 0000:02:01.0 "$WORK/list")" 0
}

binds_and_unbinds() {
	answers "10.1.0.1/24" "$NIC" bind eth1
	expect "eth1's driver" "$(driver 0000:02:00.0)" vfio-pci
	grep -q 'KERNEL=="0000:02:00.0".*ATTR{vendor}=="0x8086".*ATTR{driver_override}="vfio-pci"' \
		"$(rule 0000:02:00.0)" || fail "no rule: $(cat "$RULES"/*)"
	! grep -q noiommu "$(rule 0000:02:00.0)" || fail "the rule does without IOMMU"
	"$NIC" list >"$WORK/list"
	grep -Eq '^0000:02:00\.0 +- +vfio-pci +- +0 +remembered$' "$WORK/list" || fail "$(cat "$WORK/list")"
	answers "already" "$NIC" bind 02:00.0
	answers "already" "$NIC" bind eth1
	answers "vmxnet3's again, as eth1" "$NIC" unbind eth1
	expect "what is left of it" "$(driver 0000:02:00.0) $(override 0000:02:00.0) $(ls "$RULES")" \
		"vmxnet3  "
	answers "not bound" "$NIC" unbind eth1
}

refuses_what_cuts_off() {
	refuses "carries an ssh session" "$NIC" bind eth0
	refuses "carries an ssh session" "$NIC" bind 0000:01:00.0
	refuses "carries the default route" "$NIC" bind eth4
	answers "now and at every boot" "$NIC" bind eth0 --force
	answers "e1000e's again" "$NIC" unbind eth0
}

refuses_what_is_not_there() {
	refuses "there is no PCI device 0000:09:00.0" "$NIC" bind 0000:09:00.0
	refuses "there is no interface and no PCI device eth9" "$NIC" bind eth9
	refuses "is no network card" "$NIC" bind 0000:02:01.0
	refuses "br0 is no PCI network card" "$NIC" bind br0
	refuses "there is no PCI device" "$NIC" unbind 0000:09:00.0
	answers "needs no binding" "$NIC" bind eth5
	expect "eth5's driver" "$(driver 0000:05:00.0)" mlx5_core
}

without_iommu() {
	: >"$WORK/route"
	refuses "is behind no IOMMU" "$NIC" bind eth4
	answers "WITHOUT AN IOMMU" "$NIC" bind --force eth4
	expect "the kernel's mode" "$(cat "$SYS/module/vfio/parameters/enable_unsafe_noiommu_mode")" 1
	grep -q 'RUN+=.*enable_unsafe_noiommu_mode' "$(rule 0000:04:00.0)" || fail "not remembered"
	answers "virtio-pci's again, as eth4" "$NIC" unbind 0000:04:00.0
	expect "the kernel's mode" "$(cat "$SYS/module/vfio/parameters/enable_unsafe_noiommu_mode")" 0
}

names_companions() {
	answers "0000:03:00.1 (e1000e) is in the same IOMMU group" "$NIC" bind eth2
	! "$NIC" bind eth3 2>&1 | grep "same IOMMU group" || fail "eth2 is bound already"
	answers "as eth2" "$NIC" unbind 03:00.0
	answers "as eth3" "$NIC" unbind 03:00.1
}

# The driver or the kernel does not do it: all is as it was.
fails_whole() {
	touch "$WORK/no-vfio"
	refuses "no module vfio-pci" "$NIC" bind eth1
	rm "$WORK/no-vfio"
	"$NIC" bind eth1 >/dev/null 2>&1 && "$NIC" unbind eth1 >/dev/null # so that all files are there
	touch "$WORK/broken"
	refuses "it is as it was" "$NIC" bind eth1
	rm "$WORK/broken"
	touch "$WORK/stuck"
	refuses "it is as it was" "$NIC" bind eth1
	rm "$WORK/stuck"
}

# Whatever state a card was left in, the next call ends in one that is whole.
half_way() {
	"$NIC" bind eth1 >/dev/null 2>&1
	rm "$(rule 0000:02:00.0)"
	answers "already, and will be" "$NIC" bind 0000:02:00.0
	[ -e "$(rule 0000:02:00.0)" ] || fail "not remembered"
	printf '0000:02:00.0\n' >"$PCI/drivers/vfio-pci/unbind"
	wait_for 5 [ ! -e "$PCI/devices/0000:02:00.0/driver" ]
	answers "bound to vfio-pci" "$NIC" bind 0000:02:00.0
	printf '0000:02:00.0\n' >"$PCI/drivers/vfio-pci/unbind"
	wait_for 5 [ ! -e "$PCI/devices/0000:02:00.0/driver" ]
	answers "vmxnet3's again" "$NIC" unbind 0000:02:00.0
	printf 'vfio-pci\n' >"$PCI/devices/0000:02:00.0/driver_override"
	answers "is vmxnet3's, now and at every boot" "$NIC" unbind eth1
	expect "the override" "$(override 0000:02:00.0)" ""
}

in_use() {
	"$NIC" bind eth1 >/dev/null 2>&1
	mkdir -p "$SLUICE_ROOT/proc/4711/fd"
	ln -s /dev/vfio/2 "$SLUICE_ROOT/proc/4711/fd/7"
	refuses "in use by process 4711" "$NIC" unbind 0000:02:00.0
	rm -r "$SLUICE_ROOT/proc/4711"
	"$NIC" unbind 0000:02:00.0 >/dev/null
}

usage() {
	local status=0

	answers "Usage: " "$NIC" --help
	"$NIC" take eth1 >/dev/null 2>&1 || status=$?
	expect "exit status of a wrong command" "$status" 2
}

begin nic
fake_sysfs
RULES=$SLUICE_ROOT/etc/udev/rules.d
say "default via 192.0.2.9 dev eth4 proto dhcp" >"$WORK/route"
lists_cards
refuses_what_cuts_off
refuses_what_is_not_there
binds_and_unbinds
without_iommu
names_companions
fails_whole
half_way
in_use
usage
