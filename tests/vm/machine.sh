# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Virtual machines for tests: Debian's kernel in QEMU, without hardware support, with an emulated
# IOMMU and real network cards' devices. A machine's root is the host's, read-only, under a disk of
# its own; its cards are plugged into a switch (a namespace of lib.sh's).

MACHINE_MEMORY=${MACHINE_MEMORY:-2048} # MiB
MACHINE_DISK=4G

# Newest kernel of Debian's that is installed, with modules.
machine_kernel() {
	find /boot -maxdepth 1 -name 'vmlinuz-*' -printf '%f\n' | sed 's/^vmlinuz-//' | sort -V | tail -n 1
}

# machine_initrd NAME: busybox, init, and the modules that it loads.
machine_initrd() {
	local name=$1 kernel=$2 root=$WORK/$1.initrd module file

	mkdir -p "$root"/{bin,proc,sys,dev,lib/modules/"$kernel"}
	cp /bin/busybox "$root/bin/"
	# shellcheck disable=SC2153 # the project's
	cp "$ROOT/tests/vm/init" "$root/init"
	printf 'AGENT=%s\nNAME=%s\n' "$ROOT/tests/vm/agent.py" "$name" >"$root/machine.env"
	for module in virtio_pci virtio_blk 9pnet_virtio 9p overlay ext4; do
		modprobe -S "$kernel" --show-depends "$module" | awk '$1 == "insmod" { print $2 }'
	done | sort -u | while read -r file; do
		mkdir -p "$root$(dirname "$file")"
		cp "$file" "$root$file"
	done
	cp "/lib/modules/$kernel"/modules.{order,builtin,builtin.modinfo} "$root/lib/modules/$kernel/"
	depmod -b "$root" "$kernel"
	(cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$WORK/$name.img"
	rm -rf "$root"
}

# machine_card SWITCH INDEX DRIVER [QUEUES]: adds QEMU's arguments for a card at 0000:00:1INDEX.0 to
# CARDS; its other end is a TAP on the switch.
CARDS=()
machine_card() {
	local switch=$1 index=$2 driver=$3 queues=${4:-1} tap=card$2
	local netdev="tap,id=n$index,ifname=$tap,script=no,downscript=no,vhost=off"
	local device="$driver,netdev=n$index,addr=0x1$index,mac=52:54:00:00:00:1$index"

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

# machine NAME SWITCH: boots one with the CARDS, and waits until it answers.
machine() {
	local name=$1 switch=$2 kernel

	kernel=$(machine_kernel)
	[ -n "$kernel" ] || fail "no kernel in /boot"
	machine_initrd "$name" "$kernel"
	truncate -s "$MACHINE_DISK" "$WORK/$name.disk"
	mkfs.ext4 -q -F "$WORK/$name.disk"
	MACHINE_KERNEL=$kernel
	machine_boot "$name" "$switch"
}

machine_boot() {
	local name=$1 switch=$2

	rm -f "$WORK/$name.agent"
	spawn "$name" "$switch" qemu-system-x86_64 -accel tcg,thread=multi \
		-machine q35,kernel-irqchip=split -device intel-iommu,intremap=on,caching-mode=on \
		-cpu max -smp 2 -m "$MACHINE_MEMORY" -display none -serial stdio -monitor none \
		-kernel "/boot/vmlinuz-$MACHINE_KERNEL" -initrd "$WORK/$name.img" \
		-append "console=ttyS0 panic=-1 intel_iommu=on iommu=pt quiet ${MACHINE_APPEND-}" \
		-fsdev local,id=host,path=/,security_model=none,readonly=on \
		-device virtio-9p-pci,fsdev=host,mount_tag=host \
		-drive "file=$WORK/$name.disk,if=virtio,format=raw" \
		-chardev "socket,id=agent,path=$WORK/$name.agent,server=on,wait=off" \
		-device virtio-serial-pci -device virtserialport,chardev=agent,name=machine.agent \
		"${CARDS[@]}"
	wait_for 120 machine_answers "$name" || fail "$name does not boot: $(tail -n 5 "$WORK/$name.log")"
}

machine_answers() {
	gone "$1" || "$PYTHON" "$ROOT/tests/vm/ask.py" "$WORK/$1.agent" 5 true
}

# in_machine NAME COMMAND...: runs it there, at most IN_MACHINE_SECONDS (60).
in_machine() {
	local name=$1 seconds=${IN_MACHINE_SECONDS:-60}

	shift
	"$PYTHON" "$ROOT/tests/vm/ask.py" "$WORK/$name.agent" "$seconds" "$*"
}
