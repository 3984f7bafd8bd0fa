#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# scripts/host-setup on a host of files: what it plans is what it does, twice is as once, and undone
# is as before.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"

SETUP=$ROOT/scripts/host-setup

# fake_host CORES NODES AVAILABLE_MIB: Intel's, with GRUB and systemd.
fake_host() {
	local node

	export SLUICE_ROOT=$WORK/host
	rm -rf "$SLUICE_ROOT" && mkdir -p "$SLUICE_ROOT"/{proc/sys/vm,proc/sys/kernel,run/systemd/system} \
		"$SLUICE_ROOT"/{etc/sysctl.d,sys/firmware/acpi/tables,sys/devices/system/cpu}
	for ((node = 0; node < $2; node++)); do
		mkdir -p "$SLUICE_ROOT/sys/devices/system/node/node$node"
		say "Node $node MemTotal: 4096 kB" >"$SLUICE_ROOT/sys/devices/system/node/node$node/meminfo"
	done
	: >"$SLUICE_ROOT/sys/firmware/acpi/tables/DMAR"
	say "$1" >"$SLUICE_ROOT/sys/devices/system/cpu/present"
	say 'BOOT_IMAGE=/vmlinuz root=/dev/vda1 quiet' >"$SLUICE_ROOT/proc/cmdline"
	say 1 >"$SLUICE_ROOT/proc/sys/kernel/numa_balancing"
	hugepages 0 0 "$3"
}

# hugepages TOTAL FREE AVAILABLE_MIB
hugepages() {
	say "$1" >"$SLUICE_ROOT/proc/sys/vm/nr_hugepages"
	printf '%s: %s\n' MemAvailable "$(($3 * 1024)) kB" HugePages_Total "$1" HugePages_Free "$2" \
		Hugepagesize "2048 kB" >"$SLUICE_ROOT/proc/meminfo"
}

stubs() {
	mkdir -p "$WORK/bin"
	tee "$WORK/bin/update-grub" >"$WORK/bin/systemctl" <<-STUB
		#!/bin/sh
		[ ! -e $WORK/broken ] && echo "\$0 \$*" >>$WORK/called
	STUB
	chmod +x "$WORK"/bin/*
	export PATH=$WORK/bin:$PATH
}

pages() { cat "$SLUICE_ROOT/proc/sys/vm/nr_hugepages"; }
calls() { sed 's|.*/||' "$WORK/called" 2>/dev/null | sort -u | paste -sd ,; }
snapshot() { (cd "$SLUICE_ROOT" && find . -type f -exec sha256sum {} + | sort -k 2); }
grub_parameters() (
	GRUB_CMDLINE_LINUX=$1
	# shellcheck source=/dev/null
	. "$SLUICE_ROOT/etc/default/grub.d/60-sluice.cfg"
	say "$GRUB_CMDLINE_LINUX"
)
value_in() { sed -n "s/^$2 *= *//p" "$SLUICE_ROOT/$1"; }

# refuses STATUS WORDS ARGUMENT...: and changes nothing.
refuses() {
	local wanted=$1 words=$2 status=0 before

	shift 2
	before=$(snapshot)
	"$SETUP" "$@" >"$WORK/said" 2>&1 || status=$?
	expect "exit status of $*" "$status" "$wanted"
	grep -qF -- "$words" "$WORK/said" || fail "$*: '$words' is not in: $(cat "$WORK/said")"
	expect "$* changes nothing" "$(snapshot)" "$before"
}

# answers LINE ARGUMENT...: succeeds, and one of the lines is this (a pattern).
answers() {
	local line=$1

	shift
	"$SETUP" "$@" >"$WORK/said" 2>&1 || fail "$*: $(cat "$WORK/said")"
	grep -qx -- "$line" "$WORK/said" || fail "$*: no '$line' in: $(cat "$WORK/said")"
}

plans_only() {
	local before

	before=$(snapshot)
	"$SETUP" --plan --queues 2 >"$WORK/plan"
	expect "files after --plan" "$(snapshot)" "$before"
	for word in '+vm.nr_hugepages = 47' 'vm.nr_hugepages: 0 -> 47' '+AllowedCPUs=0 3' \
		'intel_iommu=on iommu=pt isolcpus=managed_irq,domain,1,2 nohz_full=1,2 rcu_nocbs=1,2 irqaffinity=0,3'; do
		grep -qF -- "$word" "$WORK/plan" || fail "--plan does not say '$word': $(cat "$WORK/plan")"
	done
}

# 1.1 x (32 + 2 x 2.506 x 6 + 2 x 2.506 + 16) = 92 MiB: 47 pages; see hugepages.md.
applies_and_undoes() {
	local before once files

	before=$(snapshot)
	"$SETUP" --apply --queues 2 >"$WORK/said"
	once=$(snapshot)
	expect "pages" "$(pages)" "$(value_in etc/sysctl.d/60-sluice.conf vm.nr_hugepages)"
	expect "who was told" "$(calls)" "systemctl daemon-reload,update-grub "
	expect "grub's parameters" "$(grub_parameters quiet | cut -d ' ' -f 1,2)" "quiet intel_iommu=on"
	expect "the daemon's cores" "$(value_in etc/systemd/system/sluiced.service.d/60-sluice.conf CPUAffinity)" "0 1 2"
	files=$(grep -c '^written: ' "$WORK/said")
	expect "files written, and planned" "$files" "$(grep -c '^+++ ' "$WORK/plan")"

	: >"$WORK/called"
	answers 'Nothing to change.' --apply --queues 2
	expect "files after the second --apply" "$(snapshot)" "$once"
	expect "who was told again" "$(calls)" ""
	answers 'Nothing to change.' --plan --queues 2

	"$SETUP" --undo >"$WORK/said"
	expect "files after --undo" "$(snapshot)" "$before"
	expect "who was told" "$(calls)" "systemctl daemon-reload,update-grub "
	answers 'Nothing to undo.' --undo
}

# What others reserved and use stays theirs; files that stood there come back.
respects_others() {
	local before

	hugepages 100 40 8000
	say 'vm.nr_hugepages = 100' >"$SLUICE_ROOT/etc/sysctl.d/60-sluice.conf"
	before=$(snapshot)
	"$SETUP" --apply --cores none >/dev/null
	expect "pages: 60 in use and 37" "$(pages)" 100
	"$SETUP" --apply --cores none --flows 16777216 >/dev/null
	expect "pages: 60 in use and 169" "$(pages)" 229
	[ ! -e "$SLUICE_ROOT/etc/systemd/system/sluice.slice" ] || fail "--cores none isolates"
	"$SETUP" --undo >/dev/null
	expect "files after --undo" "$(snapshot)" "$before"
}

# A change of mind: cores first, none then.
changes_its_mind() {
	"$SETUP" --apply --queues 2 >/dev/null
	"$SETUP" --apply --cores none >/dev/null
	[ ! -e "$SLUICE_ROOT/etc/systemd/system/sluice.slice" ] || fail "the slice stays"
	! grep -q isolcpus "$SLUICE_ROOT/etc/default/grub.d/60-sluice.cfg" || fail "isolcpus stays"
	"$SETUP" --undo >/dev/null
}

half_way() {
	local before status=0

	before=$(snapshot)
	touch "$WORK/broken"
	"$SETUP" --apply >"$WORK/said" 2>&1 || status=$?
	expect "exit status without update-grub" "$status" 1
	grep -q 'update-grub failed' "$WORK/said" || fail "$(cat "$WORK/said")"
	rm "$WORK/broken"
	: >"$WORK/called"
	"$SETUP" --apply >/dev/null
	expect "who is told at last" "$(calls)" "systemctl daemon-reload,update-grub "

	touch "$WORK/broken"
	status=0
	"$SETUP" --undo >/dev/null 2>&1 || status=$?
	expect "exit status of --undo without update-grub" "$status" 1
	rm "$WORK/broken"
	: >"$WORK/called"
	"$SETUP" --undo >/dev/null
	expect "who is told at last" "$(calls)" "systemctl daemon-reload,update-grub "
	expect "files after --undo" "$(snapshot)" "$before"
}

interrupted() {
	local before

	before=$(snapshot)
	"$SETUP" --apply >/dev/null
	rm "$SLUICE_ROOT/var/lib/sluice/host-setup/none/etc/systemd/system/sluice.slice" \
		"$SLUICE_ROOT/etc/systemd/system/sluice.slice" # as an --undo does first
	"$SETUP" --undo >/dev/null
	expect "files after two --undo, the first interrupted" "$(snapshot)" "$before"
	"$SETUP" --apply >/dev/null
	rm "$SLUICE_ROOT/etc/sysctl.d/60-sluice.conf" # noted, not written
	"$SETUP" --apply >/dev/null
	[ "$(value_in etc/sysctl.d/60-sluice.conf vm.nr_hugepages)" = "$(pages)" ] || fail "not carried on"
	"$SETUP" --undo >/dev/null
	expect "files after --undo" "$(snapshot)" "$before"
}

refuses_what_cannot_be() {
	refuses 1 "not enough memory" --apply --flows 1073741824
	refuses 1 "there is no core 9" --apply --cores 9
	refuses 1 "core 0 is the kernel's own" --apply --cores 0-1
	refuses 2 "a list like 2,3" --apply --cores two
	refuses 2 "one of --plan, --apply and --undo" --queues 2
	refuses 2 "--queues wants a number" --plan --queues none
	refuses 2 "unknown word" --apply all
}

other_hosts() {
	fake_host 0-15 2 16000
	answers '.* 2 memory node(s))' --plan --queues 2
	answers '+CPUAffinity=0 8 9' --plan --cores 8-9 --queues 2 --ports 2
	fake_host 0 1 4000
	answers 'no cores isolated' --plan
	rm "$SLUICE_ROOT/sys/firmware/acpi/tables/DMAR"
	: >"$SLUICE_ROOT/sys/firmware/acpi/tables/IVRS"
	answers '+GRUB_CMDLINE_LINUX=".* iommu=pt"' --plan
	rm "$WORK/bin/update-grub"
	answers 'There is no GRUB here.*' --apply
}

begin host-setup
fake_host 0-3 1 8000
stubs
plans_only
: >"$WORK/called"
applies_and_undoes
respects_others
fake_host 0-3 1 8000
changes_its_mind
half_way
interrupted
refuses_what_cannot_be
other_hosts
answers 'Usage: .*' --help
