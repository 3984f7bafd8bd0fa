#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# UDP over both families: every socket of the client gets its answer from the virtual IP, every
# backend answers some, and each flow stays where it is.
#
#   client ------ lb ------ fabric ------ backends, UDP port 5353
#                 VIP 10.96.43.114:53, 2001:db8:43::114 port 53

set -euo pipefail
. "$(dirname "$0")/topology.sh"

begin udp
two_arm
serve_udp "${BACKENDS[@]}"
start_with "$(
	service dns "$VIP" 53 UDP 172.17.0.{5,7,8,9}:5353
	service dns6 "$VIP6" 53 UDP '[fd00:17::5]:5353' '[fd00:17::7]:5353'
)"
wait_up dns 4
wait_up dns6 2

expect "backends that answer" "$(ask_udp "$VIP" 53 200 | wc -l)" 4
expect "backends that answer over IPv6" "$(ask_udp "$VIP6" 53 200 | wc -l)" 2

spawn keep client "$PYTHON" "$ROOT/tests/e2e/udp.py" keep "$VIP" 53 40
wait_for 5 grep -q 'all answered' "$WORK/keep.log" || fail "flows without an answer"
sleep 1
stop keep
expect "flows that stayed" "$(grep -cE '^flow [0-9.]+$' "$WORK/keep.log")" 40
expect "drops" "$(metrics sluice_dropped_packets_total)" 0
finish
