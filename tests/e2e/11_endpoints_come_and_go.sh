#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# 200 long downloads, and meanwhile other endpoints come and go 100 times: none breaks.
#
#   client ------ lb ------ fabric ------ backends .5 and .7 serve, .8 and .9 come and go
#     200 x 96 KiB/s, digests checked

set -euo pipefail
. "$(dirname "$0")/topology.sh"

endpoint() { say "{\"ip\": \"172.17.0.$1\", \"port\": 8080}"; }

begin come-and-go
two_arm
serve_http "${BACKENDS[@]}"
start_with "$(service web "$VIP" 8080 TCP 172.17.0.{5,7}:8080)"
wait_up web 2

hold 1 200
wait_for 5 all_held || fail "not 200 downloads at once: $(tail -n 3 "$WORK/hold.log")"
for i in {1..50}; do
	for n in 8 9; do
		api PATCH /v1/services/web/endpoints "{\"add\": [$(endpoint $n)]}" >/dev/null
	done
	for n in 9 8; do
		api PATCH /v1/services/web/endpoints "{\"remove\": [$(endpoint $n)]}" >/dev/null
	done
done
alive hold || fail "the downloads ended before the changes did: $(tail -n 3 "$WORK/hold.log")"
assert_all_held 20
expect "resets" "$(resets)" 0
load 1 16 close
assert_no_errors
assert_shares 172.17.0.{5,7}
finish
