#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The host's own traffic on the same interfaces, while the service is under load: a session like
# ssh's, pings of the host and of the virtual IP, probes of a backend's service port, ARP.
#
#   client ------ lb ------ fabric ------ backends :8080
#     session, ping -^ \- probes ------------^

set -euo pipefail
. "$(dirname "$0")/topology.sh"

# 40 lines to a server on the load balancer itself and back, one every 50 ms.
session() {
	# shellcheck disable=SC2016 # for the inner shell
	on client timeout 10 bash -c '
		exec 3<>/dev/tcp/10.1.0.1/2222
		for i in {1..40}; do
			echo "line $i" >&3
			read -r -t 2 answer <&3
			[ "$answer" = "line $i" ]
			sleep 0.05
		done'
}

begin host-traffic
two_arm
serve_http 5 7
spawn echo lb socat TCP-LISTEN:2222,reuseaddr,fork EXEC:cat
start_with "$(service web "$VIP" 8080 TCP 172.17.0.{5,7}:8080)"
wait_up web 2

spawn wrk client wrk -d 6s -c 16 -t 1 --timeout 5s -H 'Connection: close' \
	-s "$ROOT/tests/e2e/load.lua" "http://$VIP:8080/"
wait_for 3 get || fail "no service"
session || fail "the session with the host broke"
on client ping -c 5 -i 0.2 -W 1 10.1.0.1 >/dev/null || fail "the host does not answer pings"
on client ping -c 5 -i 0.2 -W 1 "$VIP" >/dev/null || fail "the virtual IP does not answer pings"
for i in {1..20}; do
	expect "probe $i of a backend" \
		"$(on lb curl -sS --max-time 2 http://172.17.0.5:8080/)" 172.17.0.5
done
on backend7 ping -c 2 -i 0.2 -W 1 172.17.0.1 >/dev/null || fail "no ping from a backend"
ip -n "$(netns client)" neighbour flush dev eth0
on client ping -c 2 -i 0.2 -W 1 10.1.0.1 >/dev/null || fail "ARP no longer answered"

wait_for 10 gone wrk || fail "wrk does not end"
grep '^{' "$WORK/wrk.log" >"$WORK/load.json"
assert_no_errors
expect "resets" "$(resets)" 0
finish
