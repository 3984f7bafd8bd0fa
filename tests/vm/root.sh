#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Makes build-vm/root.img, the disk of a freshly installed Debian that has never seen sluice: a
# kernel, GRUB, ifupdown for the card that one comes in by, ssh for the key build-vm/key, and what
# the package will depend on, as a test machine has no way to the archive. build-vm/boot.img is the
# boot loader. Kept for a day, or until what it is made from changes.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"

VM=$ROOT/build-vm
DEB=$(find "$ROOT/build-package" -name 'sluice_*_amd64.deb')
[ -n "$DEB" ] || die "no package in build-package: tests/package/build.sh makes it"

made_from() {
	sha256sum <"$0"
	dpkg-deb -f "$DEB" Depends
}

fresh() {
	[ -n "$(find "$VM/root.img" -mmin -1440 2>/dev/null)" ] && [ "$(made_from)" = "$(cat "$VM/made-from")" ]
}

# Drivers of what these machines don't have make it large.
without_modules() {
	local kind

	for kind in sound drivers/{gpu,media,staging,infiniband,iio,isdn,bluetooth,net/wireless,scsi,usb}; do
		say "--dpkgopt=path-exclude=/lib/modules/*/kernel/$kind/*"
	done
}

make_root() {
	local options packages=bird2,curl,dbus,grub-pc-bin,grub2-common,ifupdown,iproute2,iputils-ping
	local codename

	packages+=,linux-image-amd64,openssh-server,systemd-sysv,udev
	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && say "$VERSION_CODENAME")
	mapfile -t options < <(without_modules)
	mmdebstrap --quiet --variant=apt --dpkgopt=force-unsafe-io --aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/*/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		"${options[@]}" --include="$packages" --essential-hook="'$ROOT/tests/vm/root.sh' initrd \"\$1\"" \
		--customize-hook="chroot \"\$1\" apt-get -qq -y --no-install-recommends satisfy '$(dpkg-deb -f "$DEB" Depends)'" \
		--customize-hook="'$ROOT/tests/vm/root.sh' settings \"\$1\"" "$codename" "$RUNTIME/root"
}

# Before the kernel is installed: what its initial file system holds.
initrd() {
	mkdir -p "$1/etc/initramfs-tools/conf.d"
	say "MODULES=list" >"$1/etc/initramfs-tools/conf.d/list"
	printf '%s\n' virtio_pci virtio_blk ext4 >"$1/etc/initramfs-tools/modules"
}

settings() {
	local root=$1

	say bare >"$root/etc/hostname"
	chroot "$root" systemd-machine-id-setup
	# What a machine that lives for minutes has no use for.
	chroot "$root" systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_reap.service \
		getty-static.service
	say '/dev/vda / ext4 defaults 0 0' >"$root/etc/fstab"
	install -D -m 600 "$VM/key.pub" "$root/root/.ssh/authorized_keys"
	say 'UseDNS no' >"$root/etc/ssh/sshd_config.d/test.conf"
	say 'APT::Get::Assume-Yes "true";' >"$root/etc/apt/apt.conf.d/90test"
	cat >"$root/etc/network/interfaces.d/management" <<-INTERFACES
		auto enp0s2
		iface enp0s2 inet static
		    address 10.9.0.2/24
	INTERFACES
	cat >"$root/etc/default/grub" <<-'DEFAULT'
		GRUB_TIMEOUT=0
		GRUB_TERMINAL=console
		GRUB_CMDLINE_LINUX="console=ttyS0 clocksource=tsc tsc=reliable"
		GRUB_CMDLINE_LINUX_DEFAULT=quiet
	DEFAULT
	# As update-grub would have written it: it finds no disk here.
	mkdir -p "$root/boot/grub"
	cat >"$root/boot/grub/grub.cfg" <<-'GRUB'
		linux /vmlinuz root=/dev/vda ro console=ttyS0 clocksource=tsc tsc=reliable quiet
		initrd /initrd.img
		boot
	GRUB
}

# GRUB on a disk of its own; it reads the file that update-grub writes on the other.
make_boot() {
	local grub=$RUNTIME/root/usr/lib/grub/i386-pc

	cat >"$RUNTIME/root/tmp/early.cfg" <<-'EARLY'
		search --file --set=root /boot/grub/grub.cfg
		set prefix=($root)/boot/grub
		normal
	EARLY
	chroot "$RUNTIME/root" grub-mkimage -O i386-pc -c /tmp/early.cfg -o /tmp/core.img -p /boot/grub \
		biosdisk ext2 search search_fs_uuid search_fs_file linux normal configfile echo gzio test \
		loadenv part_msdos all_video sleep terminal serial regexp
	{ head -c 512 "$grub/boot.img" && cat "$RUNTIME/root/tmp/core.img"; } >"$WORK/boot.img"
	truncate -s 1M "$WORK/boot.img"
	rm "$RUNTIME/root/tmp"/{early.cfg,core.img}
}

# The router in front of the machine speaks BGP with the same program.
make_router() {
	local file

	mkdir -p "$VM/router"
	cp "$RUNTIME/root/usr/sbin/bird" "$VM/router/"
	chroot "$RUNTIME/root" ldd /usr/sbin/bird | grep -oE '/[^ ]+' | while read -r file; do
		cp -L "$RUNTIME/root$file" "$VM/router/"
	done
}

case ${1-} in
initrd | settings)
	"$1" "$2"
	exit
	;;
esac

! fresh || exit 0
begin vm-root
rm -rf "$VM"
mkdir "$VM"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$VM/key"
if ! make_root >"$WORK/root.log" 2>&1; then
	if grep -qE 'Could not (resolve|connect)|Failed to fetch|Unable to connect' "$WORK/root.log"; then
		say "Debian's archive is out of reach"
		exit 77
	fi
	fail "no root: $(tail -n 20 "$WORK/root.log")"
fi
make_boot
make_router
truncate -s 3G "$RUNTIME/root.img"
mkfs.ext4 -q -L root -d "$RUNTIME/root" "$RUNTIME/root.img"
mv "$WORK/boot.img" "$VM/"
cp --sparse=always "$RUNTIME/root.img" "$VM/"
made_from >"$VM/made-from"
