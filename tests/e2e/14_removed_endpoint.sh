#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# An endpoint comes: no flow moves. One goes: its flows find another, and only its.
#
#   client ------ lb ------ fabric ------ UDP backends .5, .7, .8; .9 comes; .5 goes
#     60 flows, each asks every 50 ms who answers

set -euo pipefail
. "$(dirname "$0")/topology.sh"

begin removed-endpoint
two_arm
serve_udp "${BACKENDS[@]}"
start_with "$(service dns "$VIP" 53 UDP 172.17.0.{5,7,8}:5353)"
wait_up dns 3

spawn keep client "$PYTHON" "$ROOT/tests/e2e/udp.py" keep "$VIP" 53 60
wait_for 5 grep -q 'all answered' "$WORK/keep.log" || fail "flows without an answer"
sleep 0.3 # several packets each: no longer on probation
ctl add endpoint dns 172.17.0.9:5353
wait_up dns 4
sleep 0.5
ctl remove endpoint dns 172.17.0.5:5353
sleep 1
stop keep

grep '^flow' "$WORK/keep.log" >"$WORK/kept"
expect "flows" "$(wc -l <"$WORK/kept")" 60
[ "$(grep -c '^flow 172.17.0.5' "$WORK/kept")" -gt 5 ] || fail "hardly a flow on .5"
expect "flows of .5 that did not move once" \
	"$(grep '^flow 172.17.0.5' "$WORK/kept" | grep -cvE '^flow 172.17.0.5 172.17.0.[789]$' ||
		true)" 0
expect "others that moved" "$(grep -v '^flow 172.17.0.5' "$WORK/kept" |
	grep -cvE '^flow 172.17.0.[78]$' || true)" 0
finish
