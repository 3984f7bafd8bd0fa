#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The package in a Debian that has never seen sluice: it installs with all it needs, its daemon
# serves on AF_XDP and beside a TAP, an upgrade keeps what it knew, and a purge leaves nothing.

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"

# in_root COMMAND...: there, with /proc, /dev and /sys for the time being, in the network namespace
# that it is called in.
in_root() { unshare --mount "$WORK/enter" "$@"; }

make_enter() {
	cat >"$WORK/enter" <<-ENTER
		#!/bin/sh -e
		mount -t proc proc $CLEAN/proc
		mount -t sysfs sysfs $CLEAN/sys
		mount --rbind /dev $CLEAN/dev
		exec chroot $CLEAN "\$@"
	ENTER
	chmod +x "$WORK/enter"
}

apt() {
	in_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends "$@" \
		>>"$WORK/apt.log" 2>&1 || fail "apt-get $*: $(tail -n 20 "$WORK/apt.log")"
}

make_root() {
	local codename

	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && say "$VERSION_CODENAME")
	mmdebstrap --quiet --variant=apt --skip=cleanup/apt/lists --dpkgopt=force-unsafe-io \
		--aptopt='Acquire::Languages "none"' "$codename" "$CLEAN" 2>"$WORK/mmdebstrap.log" ||
		fail "no clean root: $(tail -n 5 "$WORK/mmdebstrap.log")"
	cp /etc/resolv.conf "$CLEAN/etc/"
	printf '#!/bin/sh\nexit 101\n' >"$CLEAN/usr/sbin/policy-rc.d" # there is no init to start things
	chmod +x "$CLEAN/usr/sbin/policy-rc.d"
}

# All files, but for what dpkg, apt and the group's creation note.
files() {
	local path skipped=()

	for path in ./proc ./sys ./dev ./tmp ./var/lib/dpkg ./var/lib/apt ./var/cache ./var/log \
		'./etc/*group*' ./etc/.pwd.lock './var/lib/systemd/deb-*' ./run/systemd; do
		skipped+=(-o -path "$path")
	done
	(cd "$CLEAN" && find . \( "${skipped[@]:1}" \) -prune -o -print | sort)
}

installs() {
	cp "$DEB" "$CLEAN/tmp/sluice.deb"
	apt satisfy "$(dpkg-deb -f "$DEB" Depends)"
	files >"$WORK/before"
	apt install /tmp/sluice.deb
	in_root dpkg -V sluice
	expect "programs" "$(in_root sluiced --version | cut -d ' ' -f 1,2)" "sluiced $VERSION"
	in_root sluicectl --help >/dev/null
	in_root sluice-nic --help >/dev/null
	in_root sluice-host-setup --help >/dev/null
	in_root sluiced --check -c /usr/share/doc/sluice/examples/sluice.yaml >/dev/null
	in_root systemd-analyze verify --man=no --recursive-errors=no /lib/systemd/system/sluiced.service
	[ -L "$CLEAN/etc/systemd/system/multi-user.target.wants/sluiced.service" ] || fail "not enabled"
	expect "the group" "$(in_root getent group sluice | cut -d : -f 1)" sluice
	[ -d "$CLEAN/var/lib/sluice" ] || fail "no directory for the state"
}

# What ports of each kind need, and what README's deployment may meet.
has_drivers() {
	local driver

	for driver in net_af_xdp net_tap net_virtio net_vmxnet3 net_e1000 net_ixgbe net_i40e net_ice \
		net_mlx5 net_bond bus_pci bus_vdev mempool_ring; do
		compgen -G "$CLEAN/usr/lib/*/dpdk/pmds-*/librte_$driver.so.*" >/dev/null ||
			fail "no package brings DPDK's $driver"
	done
}

status() { ip netns exec "$(netns lb)" curl -sf --max-time 2 http://127.0.0.1:9690/readyz; }

start_installed() {
	spawn sluiced lb unshare --mount "$WORK/enter" sluiced
	wait_for 20 status || fail "the daemon is not ready: $(tail -n 5 "$WORK/sluiced.log")"
}

serves() {
	host client lb
	link client eth0 lb eth0
	link client eth1 lb eth1
	cat >"$CLEAN/etc/sluice/sluice.yaml" <<-CONFIG
		ports:
		  - device: af_xdp:eth0
		  - {device: 'vdev:net_af_packet0,iface=eth1', interface: up0}
		flows: {capacity: 1024}
	CONFIG
	in_root sluiced --check >/dev/null
	start_installed
	in_root sluicectl apply -f - >/dev/null <<-SERVICE
		{name: web, ip: 10.96.43.114, port: 8080, endpoints: [10.1.0.2:8080]}
	SERVICE
	on lb ip link show up0 >/dev/null || fail "no TAP"
	stop sluiced KILL
}

# The same package, a version later.
upgrades() {
	dpkg-deb -R "$DEB" "$WORK/later"
	sed -i "s/^Version: .*/Version: $VERSION+1/" "$WORK/later/DEBIAN/control"
	dpkg-deb -b "$WORK/later" "$CLEAN/tmp/later.deb" >/dev/null
	rm -rf "$WORK/later"
	apt install /tmp/later.deb
	expect "version" "$(in_root dpkg -s sluice | sed -n 's/^Version: //p')" "$VERSION+1"
	[ -e "$CLEAN/etc/sluice/sluice.yaml" ] || fail "the configuration went"
	start_installed
	in_root sluicectl -o json get services | jq -e '.. | objects | select(.name? == "web")' >/dev/null ||
		fail "the service went: $(in_root sluicectl get services)"
	stop sluiced
	expect "exit status of the stopped daemon" "${EXITS[sluiced]}" 0
}

# Also what sluice-nic and sluice-host-setup write.
purges() {
	mkdir -p "$CLEAN"/etc/{udev/rules.d,sysctl.d,systemd/system/system.slice.d}
	touch "$CLEAN/etc/udev/rules.d/60-sluice-nic-0000:02:00.0.rules" "$CLEAN/etc/sysctl.d/60-sluice.conf" \
		"$CLEAN/etc/systemd/system/system.slice.d/60-sluice.conf"
	apt remove sluice
	[ -e "$CLEAN/etc/sluice/sluice.yaml" ] || fail "removing takes the configuration too"
	apt purge sluice
	diff "$WORK/before" <(files) || fail "a purge leaves or takes something (above)"
}

begin package
DEB=$(find "$ROOT/build-package" -name 'sluice_*_amd64.deb')
[ -n "$DEB" ] || fail "no package in build-package: tests/package/build.sh makes it"
VERSION=$(dpkg-deb -f "$DEB" Version)
CLEAN=$RUNTIME/root # a tmpfs: dpkg is in no hurry for a disk
make_root
make_enter
installs
has_drivers
serves
upgrades
purges
