#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# sluiced is killed with 200 downloads running and started again within 3 s: none breaks, nobody
# ever sees a reset, and what was pushed is still there.
#
#   client ------ lb (kill -9) ------ fabric ------ backends
#     200 x 96 KiB/s; every reset that reaches the client is counted

set -euo pipefail
. "$(dirname "$0")/topology.sh"

begin killed
two_arm
serve_http "${BACKENDS[@]}"
start_with "$(service web "$VIP" 8080 TCP 172.17.0.5:8080)"
api PUT /v1/services/web/endpoints \
	'{"endpoints": ["172.17.0.5:8080", "172.17.0.7:8080", "172.17.0.8:8080"]}' >/dev/null
wait_up web 3

hold 1 200
wait_for 5 all_held || fail "not 200 downloads at once: $(tail -n 3 "$WORK/hold.log")"

kill_sluiced
killed=${EPOCHREALTIME/[^0-9]/}
# While it is away its program drops: who connects waits, and is not refused.
status=0
on client curl -s -o /dev/null --max-time 0.8 "http://$VIP:8080/" || status=$?
expect "curl to a dead daemon (28: time-out)" "$status" 28
on client curl -sS -o /dev/null --max-time 8 "http://$VIP:8080/" 2>"$WORK/get.log" &
waiting=$!
start_sluiced
[ $((${EPOCHREALTIME/[^0-9]/} - killed)) -lt 3000000 ] || fail "not back within 3 s"
wait "$waiting" || fail "a connection attempt did not survive: $(cat "$WORK/get.log")"
wait_up web 3
assert_all_held 30
expect "resets" "$(resets)" 0
load 1 16 close
assert_no_errors
assert_shares 172.17.0.{5,7,8}
finish
