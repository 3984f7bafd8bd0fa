#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# QUIC: connections whose client changes address and port with every packet stay at the endpoint
# whose server id is in their connection id, while others come and theirs drains.
#
#   client ----------------------- lb ------ fabric ------ backends, UDP port 4433
#   10.1.0.2 - .4, fd00:1::2 - ::4  VIP 10.96.43.114:443, 2001:db8:43::114 port 443

set -euo pipefail
. "$(dirname "$0")/topology.sh"

LENGTH=6
CONNECTIONS=16

serve_quic() {
	local n

	for n; do
		spawn "quic$n" "backend$n" "$PYTHON" "$ROOT/tests/e2e/quic.py" serve "172.17.0.$n" 4433 "$LENGTH"
		spawn "quic6-$n" "backend$n" "$PYTHON" "$ROOT/tests/e2e/quic.py" serve "fd00:17::$n" 4433 "$LENGTH"
	done
	for n; do
		wait_for 5 both_listen "$n" || fail "no QUIC server on backend$n"
	done
}

both_listen() { [ "$(on "backend$1" ss -Hlun "sport = :4433" | wc -l)" -eq 2 ]; }

# keep NAME VIP SOURCE...: connections in the background, once they are there.
keep() {
	local name=$1 vip=$2

	shift 2
	spawn "$name" client "$PYTHON" "$ROOT/tests/e2e/quic.py" keep "$vip" 443 "$CONNECTIONS" "$@"
	wait_for 10 grep -q 'all connected' "$WORK/$name.log" || fail "$name: connections without an answer"
}

# Ends them; each has had one endpoint from beginning to end. Prints the endpoints.
assert_kept() {
	stop "$1"
	expect "$1: connections that stayed" \
		"$(grep -cE '^connection (172\.17\.0|fd00:17:)[.:][0-9]$' "$WORK/$1.log")" "$CONNECTIONS"
	grep '^connection' "$WORK/$1.log" | cut -d' ' -f2 | sort -u
}

# Waits until each connection has asked from new ports this often.
more_packets() {
	local before

	before=$(metrics sluice_service_packets_total direction=in service="$1")
	wait_for 10 packets_since "$1" $((before + $2 * CONNECTIONS)) || fail "$1: too few packets"
}
packets_since() { [ "$(metrics sluice_service_packets_total direction=in service="$1")" -ge "$2" ]; }

begin quic
two_arm
address client eth0 10.1.0.{3,4}/24 fd00:1::3/64 fd00:1::4/64
serve_quic "${BACKENDS[@]}"
export EXTRA="quic: {serverIdLength: $LENGTH}"
start_with "$(
	service quic "$VIP" 443 UDP 172.17.0.{5,7}:4433
	service quic6 "$VIP6" 443 UDP '[fd00:17::5]:4433' '[fd00:17::7]:4433'
)"
wait_up quic 2
wait_up quic6 2

for endpoint in 172.17.0.5:4433 172.17.0.7:4433; do
	id=$(printf '%s' "$endpoint" | sha256sum | head -c $((2 * LENGTH)))
	ctl describe service quic | grep -qE "^  $endpoint +$id\$" || fail "describe: no $id of $endpoint"
done

keep before "$VIP" 10.1.0.{2,3,4}
keep before6 "$VIP6" fd00:1::{2,3,4}
for n in 8 9; do
	ctl add endpoint quic "172.17.0.$n:4433"
	ctl add endpoint quic6 "[fd00:17::$n]:4433"
done
wait_up quic 4
wait_up quic6 4
more_packets quic 3
more_packets quic6 3
ctl drain endpoint quic 172.17.0.5:4433
ctl drain endpoint quic6 '[fd00:17::5]:4433'
more_packets quic 3
more_packets quic6 3

# What begins now goes elsewhere.
keep after "$VIP" 10.1.0.{2,3,4}
more_packets quic 3
if assert_kept after | grep -q '^172.17.0.5$'; then fail "a new connection at an endpoint that drains"; fi
expect "endpoints of the first connections" "$(assert_kept before | paste -sd' ')" \
	"172.17.0.5 172.17.0.7"
expect "endpoints of those over IPv6" "$(assert_kept before6 | paste -sd' ')" "fd00:17::5 fd00:17::7"
expect "drops" "$(metrics sluice_dropped_packets_total)" 0
finish
