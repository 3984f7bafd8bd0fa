#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# While the daemon is away, nobody gets a reset from a service's address, and everybody still gets
# one from where there is no service.
#
#   client 10.1.0.2 -- lb 10.1.0.1, the virtual addresses on lo

set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/../../scripts/lib.sh"

# tried ADDRESS PORT [-u]: what a client sees: reset, or nothing.
tried() {
	on client "$PYTHON" - "$@" <<-'CLIENT'
		import socket, sys
		kind = socket.SOCK_DGRAM if "-u" in sys.argv else socket.SOCK_STREAM
		s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, kind)
		s.settimeout(0.5)
		try:
		    s.connect((sys.argv[1], int(sys.argv[2])))
		    s.send(b"x")
		    s.recv(1)
		except ConnectionRefusedError:
		    print("reset")
		except OSError:
		    print("nothing")
	CLIENT
}

guard() { on lb env STATE_DIRECTORY="$WORK" "${@:2}" "$ROOT/scripts/guard" "$1"; }
drops() { on lb nft list table inet sluice_guard 2>/dev/null | grep -c ' drop' || true; }

begin guard
host client lb
link client eth0 lb eth0
address client eth0 10.1.0.2/24 fd00:1::2/64
address lb eth0 10.1.0.1/24 fd00:1::1/64
address lb lo 10.96.43.114/32 fd00:96::1/128
route client 10.96.43.114 via 10.1.0.1
ip -n "$(netns client)" -6 route add fd00:96::1 via fd00:1::1
cat >"$WORK/state.json" <<'STATE'
{"version":1,
"slots":"00010001",
"frontends":[["10.96.43.114",8080,6,1,1],["10.96.43.114",53,17,2,2],["fd00:96::1",8080,6,3,3],["10.1.0.1",30854,6,1,4]],
"slices":[]}
STATE
expect "without the guard" "$(tried 10.96.43.114 8080)" reset

guard stopped EXIT_CODE=killed EXIT_STATUS=KILL
expect "a service, IPv4" "$(tried 10.96.43.114 8080)" nothing
expect "a service, IPv6" "$(tried fd00:96::1 8080)" nothing
expect "a service, UDP" "$(tried 10.96.43.114 53 -u)" nothing
expect "a node port" "$(tried 10.1.0.1 30854)" nothing
expect "another port of a virtual address" "$(tried 10.96.43.114 8081)" reset
expect "the host's own" "$(tried 10.1.0.1 22)" reset
on client ping -c 1 -W 2 10.96.43.114 >/dev/null || fail "no ping of the virtual address"

guard stopped EXIT_CODE=exited EXIT_STATUS=1
expect "rules after a failed start" "$(drops)" 3
guard off
expect "once the daemon serves" "$(tried 10.96.43.114 8080)" reset
guard on
guard stopped EXIT_CODE=exited EXIT_STATUS=0
expect "rules after a clean stop" "$(drops)" 0
guard off # where there is none
rm "$WORK/state.json"
guard on # no state, nothing to drop
expect "rules without a state" "$(drops)" 0
