# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A sysfs with network cards under $SLUICE_ROOT, and the little of a kernel that scripts/nic talks
# to: FIFOs stand where the kernel acts on what is written, and a reader behind each does it.
#
#   0000:01:00.0  eth0  e1000e     the ssh session's
#   0000:02:00.0  eth1  vmxnet3    IOMMU group 2, alone with a bridge
#   0000:03:00.0  eth2  e1000e     IOMMU group 3
#   0000:03:00.1  eth3  e1000e     IOMMU group 3
#   0000:04:00.0  eth4  virtio-pci no IOMMU group; the interface one level lower
#   0000:05:00.0  eth5  mlx5_core  bifurcated

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

fake_sysfs() {
	export SLUICE_ROOT=$WORK/root
	SYS=$SLUICE_ROOT/sys PCI=$SLUICE_ROOT/sys/bus/pci
	mkdir -p "$PCI/devices" "$PCI/drivers" "$SYS/class/net" "$SYS/kernel/iommu_groups" \
		"$SYS/module/vfio/parameters" "$SLUICE_ROOT/proc" "$WORK/bin"
	printf 'N\n' >"$SYS/module/vfio/parameters/enable_unsafe_noiommu_mode"
	for driver in e1000e vmxnet3 virtio-pci mlx5_core vfio-pci; do fake_driver "$driver"; done
	fake_fifo "$PCI/drivers_probe" fake_probe
	fake_card 0000:01:00.0 e1000e eth0 1
	fake_card 0000:02:00.0 vmxnet3 eth1 2
	fake_card 0000:02:01.0 '' '' 2 0x060400
	fake_card 0000:03:00.0 e1000e eth2 3
	fake_card 0000:03:00.1 e1000e eth3 3
	fake_card 0000:04:00.0 virtio-pci eth4 ''
	fake_card 0000:05:00.0 mlx5_core eth5 5
	fake_commands
}

# fake_fifo PATH FUNCTION: calls it with each line that is written there.
fake_fifo() {
	mkfifo "$1"
	while :; do
		read -r line <"$1" || [ -n "$line" ] || continue
		"$2" "$line"
	done &
	undo kill "$!"
}

fake_driver() {
	mkdir "$PCI/drivers/$1"
	fake_fifo "$PCI/drivers/$1/unbind" fake_unbind
}

fake_unbind() {
	[ ! -e "$WORK/stuck" ] || return 0
	rm -rf "$PCI/devices/$1"/net "$PCI/devices/$1"/virtio*
	[ ! -e "$PCI/devices/$1/interface" ] || rm -f "$SYS/class/net/$(cat "$PCI/devices/$1/interface")"
	rm "$PCI/devices/$1/driver"
}

fake_probe() {
	local device=$PCI/devices/$1 driver

	[ ! -e "$device/driver" ] || return 0
	read -r driver <"$device/driver_override" || driver=
	[ -n "$driver" ] || read -r driver <"$device/own_driver"
	[ "$driver" != vfio-pci ] || [ ! -e "$WORK/broken" ] || return 0
	if [ "$driver" != vfio-pci ]; then fake_interface "$1"; fi
	ln -s "../../drivers/$driver" "$device/driver"
}

fake_interface() {
	local device=$PCI/devices/$1 name

	read -r name <"$device/interface" || return 0
	if grep -q virtio "$device/own_driver"; then device=$device/virtio0; fi
	mkdir -p "$device/net/$name"
	printf 'up\n' >"$device/net/$name/operstate"
	ln -s "$device" "$device/net/$name/device"
	ln -s "$device/net/$name" "$SYS/class/net/$name"
}

# fake_card BDF DRIVER INTERFACE GROUP [CLASS]
fake_card() {
	local device=$PCI/devices/$1 group=$SYS/kernel/iommu_groups/$4

	mkdir "$device"
	printf '%s\n' "${5:-0x020000}" >"$device/class"
	printf '0x8086\n' >"$device/vendor"
	printf '0x10d3\n' >"$device/device"
	printf '0\n' >"$device/numa_node"
	printf 'pci:fake\n' >"$device/modalias"
	printf '(null)\n' >"$device/driver_override"
	printf '%s\n' "$2" >"$device/own_driver"
	[ -z "$3" ] || printf '%s\n' "$3" >"$device/interface"
	if [ -n "$4" ]; then
		mkdir -p "$group/devices"
		ln -s "$device" "$group/devices/$1"
		ln -s "$group" "$device/iommu_group"
	fi
	[ -z "$2" ] || printf '\n' >"$device/driver_override"
	[ -z "$2" ] || fake_probe "$1"
	printf '(null)\n' >"$device/driver_override"
}

# eth0 carries the ssh session, through a bridge; the default route is what $WORK/route says.
fake_commands() {
	mkdir -p "$SYS/class/net/br0/lower_eth0"
	cat >"$WORK/bin/modprobe" <<-STUB
		#!/bin/sh
		[ ! -e $WORK/no-vfio ]
	STUB
	cat >"$WORK/bin/ip" <<-STUB
		#!/bin/sh
		case "\$*" in
		*"route show default") cat $WORK/route 2>/dev/null ;;
		*"route get 192.0.2.7") echo "192.0.2.7 dev br0 src 192.0.2.1 uid 0" ;;
		*"dev eth1 scope global") echo "3: eth1    inet 10.1.0.1/24 scope global eth1" ;;
		esac
	STUB
	cat >"$WORK/bin/ss" <<-STUB
		#!/bin/sh
		echo '0 0 192.0.2.1:22 192.0.2.7:51000 users:(("sshd",pid=1,fd=4))'
	STUB
	chmod +x "$WORK"/bin/*
	export PATH=$WORK/bin:$PATH
	unset SSH_CONNECTION
}
