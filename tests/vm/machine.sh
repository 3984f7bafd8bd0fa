# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A virtual machine for tests: a bare Debian of its own (root.sh makes its disk), in QEMU without
# hardware support, with an emulated IOMMU and real network cards' devices. The cards are plugged
# into a switch (a namespace of lib.sh's); one comes in by ssh over another, as to any host.

MACHINE_MEMORY=${MACHINE_MEMORY:-2048} # MiB
MACHINE_CORES=3                        # two workers, and the kernel's own
VM=$ROOT/build-vm

# machine_card SWITCH BUS DRIVER [QUEUES]: adds QEMU's arguments for a card at 0000:0BUS:00.0 to
# CARDS (BUS: 1 to 3, behind a port of its own each); its other end is a TAP on the switch.
CARDS=()
machine_card() {
	local switch=$1 bus=$2 driver=$3 queues=${4:-1} tap=card$2
	local netdev="tap,id=n$bus,ifname=$tap,script=no,downscript=no,vhost=off"
	local device="$driver,netdev=n$bus,bus=port$bus,romfile=,mac=52:54:00:00:00:1$bus"

	if [ "$driver" = virtio-net-pci ]; then
		ip -n "$(netns "$switch")" tuntap add "$tap" mode tap multi_queue
		netdev+=",queues=$queues"
		device+=",mq=on,vectors=$((2 * queues + 2)),rss=on,iommu_platform=on,disable-legacy=on"
	else
		ip -n "$(netns "$switch")" tuntap add "$tap" mode tap
	fi
	ip -n "$(netns "$switch")" link set "$tap" master br0 up
	CARDS+=(-netdev "$netdev" -device "$device")
}

# machine SWITCH: boots one with the CARDS, and waits until it answers.
machine() {
	local port ports=()

	SWITCH=$1
	ip -n "$(netns "$SWITCH")" tuntap add mgmt mode tap
	ip -n "$(netns "$SWITCH")" address add 10.9.0.1/24 dev mgmt
	ip -n "$(netns "$SWITCH")" link set mgmt up
	cp --sparse=always "$VM/root.img" "$WORK/root.img"
	for port in 1 2 3; do
		ports+=(-device "pcie-root-port,id=port$port,chassis=$port,slot=$port,addr=0x1$port")
	done
	spawn machine "$SWITCH" qemu-system-x86_64 -accel tcg,thread=multi \
		-machine q35,kernel-irqchip=split -device intel-iommu,intremap=on,caching-mode=on \
		-cpu max -smp "$MACHINE_CORES" -m "$MACHINE_MEMORY" -display none -vga none -nodefaults \
		-serial stdio -monitor none \
		-netdev tap,id=mgmt,ifname=mgmt,script=no,downscript=no,vhost=off \
		-device virtio-net-pci,netdev=mgmt,addr=0x2,romfile= \
		-drive "file=$WORK/root.img,if=none,id=root,format=raw,cache=unsafe" \
		-device virtio-blk-pci,drive=root,addr=0x3 \
		-drive "file=$VM/boot.img,if=none,id=boot,format=raw,read-only=on" \
		-device virtio-blk-pci,drive=boot,addr=0x4,bootindex=0 \
		"${ports[@]}" "${CARDS[@]}"
	machine_wait
}

SSH=(ssh -i "$VM/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR
	-o ConnectTimeout=5 -o BatchMode=yes)

# One connection for all that is asked. -f: returns when it stands.
machine_connects() {
	gone machine || timeout 20 ip netns exec "$(netns "$SWITCH")" "${SSH[@]}" -M -S "$WORK/ssh" -f -N \
		-o ServerAliveInterval=10 root@10.9.0.2
}

# machine_wait [BOOT]: until it answers, and runs another boot than this one.
machine_wait() {
	wait_for 240 machine_runs "${1-}" || fail "the machine does not boot: $(tail -n 5 "$WORK/machine.log")"
	alive machine || fail "the machine is gone: $(tail -n 5 "$WORK/machine.log")"
}

machine_runs() {
	gone machine || { machine_connects && [ "$(machine_boot)" != "$1" ]; } || {
		machine_hangs_up
		false
	}
}

machine_boot() { in_machine 'cat /proc/sys/kernel/random/boot_id'; }
machine_hangs_up() { "${SSH[@]}" -S "$WORK/ssh" -O exit root@10.9.0.2 2>/dev/null || true; }

machine_reboot() {
	local boot

	boot=$(machine_boot)
	in_machine reboot || true # it may be gone before it says so
	machine_hangs_up
	machine_wait "$boot"
}

# in_machine COMMAND...: runs it there with standard input, at most IN_MACHINE_SECONDS (60).
in_machine() {
	timeout "${IN_MACHINE_SECONDS:-60}" "${SSH[@]}" -S "$WORK/ssh" root@10.9.0.2 "$*"
}
