#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Services without an endpoint that takes new connections: refuse answers at once, drop is silent,
# keepLast goes on with what there is; and when endpoints come, each works.
#
#   client ------ lb ------ fabric ------ backends
#                 VIP :8080 refuse, :8081 drop, :8082 keepLast, :53/udp refuse

set -euo pipefail
. "$(dirname "$0")/topology.sh"

# Exit status of curl: 7 refused, 28 timed out.
knock() {
	local status=0

	on client curl -sg -o /dev/null --max-time 1 "http://$1/" || status=$?
	say "$status"
}

begin no-endpoint
two_arm
serve_http 5
serve_udp 5
start_with "$(
	service refuse "$VIP" 8080 TCP
	EXTRA="onEmpty: drop" service drop "$VIP" 8081 TCP
	EXTRA="onEmpty: keepLast" service keep "$VIP" 8082 TCP 172.17.0.5:8080
	service dns "$VIP" 53 UDP
	service refuse6 "$VIP6" 8080 TCP
)"
wait_up keep 1

expect "refuse" "$(knock "$VIP:8080")" 7
expect "resets of a refusal" "$(resets)" 1
expect "refuse over IPv6" "$(knock "[$VIP6]:8080")" 7
expect "refuse, UDP" "$(ask_udp "$VIP" 53 1 || true)" "1 refused"
expect "drop" "$(knock "$VIP:8081")" 28
[ "$(metrics sluice_dropped_packets_total reason=no_endpoint)" -gt 0 ] ||
	fail "the drops have no name"
expect "keepLast" "$(knock "$VIP:8082")" 0
ctl drain endpoint keep 172.17.0.5:8080 >/dev/null
expect "keepLast, the last one drained" "$(knock "$VIP:8082")" 0

for name in refuse drop; do
	api PUT "/v1/services/$name/endpoints" '{"endpoints": ["172.17.0.5:8080"]}' >/dev/null
	wait_up "$name" 1
done
api PUT /v1/services/dns/endpoints '{"endpoints": ["172.17.0.5:5353"]}' >/dev/null
wait_up dns 1
expect "refuse, with an endpoint" "$(knock "$VIP:8080")" 0
expect "drop, with an endpoint" "$(knock "$VIP:8081")" 0
expect "UDP, with an endpoint" "$(ask_udp "$VIP" 53 5)" "5 172.17.0.5"

# The last one leaves: refused again, not sent to where the old table points.
ctl set endpoints refuse >/dev/null 2>&1 ||
	api PUT /v1/services/refuse/endpoints '{"endpoints": []}' >/dev/null
expect "refuse, emptied" "$(knock "$VIP:8080")" 7

# Nobody has that address, but while the kernel asks for it clients are left to try again.
refused() { [ "$(knock "$VIP:8080")" = 7 ]; }
api PUT /v1/services/refuse/endpoints '["172.17.0.99:8080"]' >/dev/null
expect "refuse, next hop asked for" "$(knock "$VIP:8080")" 28
wait_for 6 refused || fail "not refused when the next hop has failed"
finish
