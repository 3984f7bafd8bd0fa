#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What scripts and units rely on: exit statuses and messages of sluiced and sluicectl where there
# is nothing to run.
#
#   lb eth0 10.1.0.1 ------ client          no sluiced

set -euo pipefail
. "$(dirname "$0")/topology.sh"

# exits STATUS PATTERN COMMAND...: its status, and a line of its output.
exits() {
	local wanted=$1 pattern=$2 status=0

	shift 2
	on lb timeout 10 "$@" >"$WORK/out" 2>&1 </dev/null || status=$?
	expect "exit status of ${*##*/} ($(head -n 1 "$WORK/out"))" "$status" "$wanted"
	grep -qE -- "$pattern" "$WORK/out" || fail "${*##*/} says: $(cat "$WORK/out")"
}

begin command-lines
host lb client
link client eth0 lb eth0
sluiced=$(program sluiced)
sluicectl=$(program sluicectl)
LB_PORTS=(eth0)

exits 0 '^sluiced? 0\.' "$sluiced" --version
exits 0 '--check' "$sluiced" --help
exits 2 'no-such-option' "$sluiced" --no-such-option
exits 2 "$WORK/missing.yaml" "$sluiced" -c "$WORK/missing.yaml"
config "$(service web "$VIP" 8080 TCP 172.17.0.5:8080)"
exits 0 '' "$sluiced" --check -c "$WORK/sluice.yaml"
config "$(EXTRA='colour: red' service web "$VIP" 8080 TCP 172.17.0.5:8080)"
exits 2 'sluice.yaml:[0-9]+: services\[0\]\.colour' "$sluiced" --check -c "$WORK/sluice.yaml"
exits 2 'sluice.yaml:[0-9]+: services\[0\]\.colour' "$sluiced" -c "$WORK/sluice.yaml"
LB_PORTS=(nowhere)
config
exits 1 'nowhere' "$sluiced" -c "$WORK/sluice.yaml"
[ ! -e "$SOCKET" ] || fail "a failed start leaves its socket"

exits 0 '^sluicectl 0\.' "$sluicectl" --version
exits 2 'frobnicate' "$sluicectl" frobnicate
exits 3 "$SOCKET" "$sluicectl" -s "$SOCKET" status
