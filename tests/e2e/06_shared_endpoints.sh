#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Two services with the same endpoints: what an endpoint sends back could be either's, and gets the
# address and port that its client asked.
#
#   client ------ lb ------ fabric ------ backends :8080
#                 VIP 10.96.43.114:8080 and 10.96.43.115:80

set -euo pipefail
. "$(dirname "$0")/topology.sh"

begin shared-endpoints
two_arm
route client 10.96.43.115 via 10.1.0.1
serve_http "${BACKENDS[@]}"
serve_udp 5 7
start_with "$(
	service one "$VIP" 8080 TCP 172.17.0.{5,7,8,9}:8080
	service other 10.96.43.115 80 TCP 172.17.0.{5,7}:8080
	service dns "$VIP" 53 UDP 172.17.0.{5,7}:5353
	service mdns 10.96.43.115 5353 UDP 172.17.0.{5,7}:5353
)"
wait_up one 4
wait_up other 2
wait_up mdns 2

spawn wrk client wrk -d 3s -c 8 -t 1 -s "$ROOT/tests/e2e/load.lua" http://10.96.43.115/
load 2 8 keepalive
assert_no_errors
wait_for 5 gone wrk || fail "wrk does not end"
grep '^{' "$WORK/wrk.log" >"$WORK/load.json"
assert_no_errors
for _ in {1..20}; do
	get >/dev/null
	get http://10.96.43.115/ >/dev/null
done
ask_udp "$VIP" 53 20 >/dev/null || fail "UDP of one"
ask_udp 10.96.43.115 5353 20 >/dev/null || fail "UDP of the other"
expect "resets" "$(resets)" 0

# Without the other one, no table is needed: what was ambiguous is no longer.
api DELETE /v1/services/other >/dev/null
load 1 8 close
assert_no_errors
finish
