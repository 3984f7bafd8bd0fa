# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Backends that have the virtual addresses themselves and answer clients past the load balancer.

. "$(dirname "${BASH_SOURCE[0]}")/topology.sh"

# direct: one_arm, and the backends reach the client without a router. Requests go by way of the
# load balancer, answers don't.
#
#   client 10.1.0.2  --+                  10.1.0.1/24    fd00:1::1/64
#                      +-- fabric -- lb   172.17.0.1/16  fd00:17::1/64
#   backends 172.17 ---+                  VIP
#   VIP on each lo
direct() {
	local n

	one_arm
	route client 172.17.0.0/16 dev eth0
	route client fd00:17::/64 dev eth0
	for n in "${BACKENDS[@]}"; do
		# Nobody but the load balancer says where the virtual address is.
		on "backend$n" sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
		address "backend$n" lo "$VIP/32" "$VIP6/128"
		route "backend$n" 10.1.0.0/24 dev eth0
		route "backend$n" fd00:1::/64 dev eth0
	done
}

# decapsulate N...: backend N takes packets out of tunnels.
decapsulate() {
	local n

	for n; do
		ip -n "$(netns "backend$n")" link set dev eth0 xdpgeneric \
			obj "$BUILD/tests/e2e/decap.bpf.o" sec xdp
	done
}

# serve_named_udp N...: on backend N, port 5353, both families; answers "backendN".
serve_named_udp() {
	local n

	for n; do
		spawn "udp$n" "backend$n" "$PYTHON" "$ROOT/tests/e2e/udp.py" serve 5353 "backend$n"
	done
	for n; do
		wait_for 5 udp_listens "backend$n" 5353 || fail "no UDP server on backend$n"
	done
}

# assert_answers URL BACKEND...: connections spread over these backends and none fails.
assert_answers() {
	load 1 16 close "$1"
	assert_no_errors
	assert_shares "${@:2}"
}

# assert_one_way SERVICE: its packets were counted on their way in, and there is no other.
assert_one_way() {
	[ "$(metrics sluice_service_packets_total service="$1" direction=in)" -gt 0 ] ||
		fail "$1: no packets counted"
	expect "$1: packets back through sluice" \
		"$(metrics sluice_service_packets_total service="$1" direction=out)" 0
}

endpoint() { say "{\"ip\": \"$1\", \"port\": 8080}"; }

# assert_scales SERVICE URL ENDPOINT_IP...: endpoints are added and drained away while connections
# are made and held; none fails.
assert_scales() {
	local service=$1 url=$2 ip requests

	shift 2
	hold 0.3 40 "${url%/who}/slow?rate=300k"
	wait_for 5 all_held || fail "not 40 downloads at once: $(tail -n 3 "$WORK/hold.log")"
	load 3 16 close "$url" &
	requests=$!
	for ip; do
		api PATCH "/v1/services/$service/endpoints" "{\"add\": [$(endpoint "$ip")]}" >/dev/null
	done
	wait_up "$service" $(($# + 1))
	sleep 0.5
	for ip; do
		api PATCH "/v1/services/$service/endpoints" "{\"drain\": [$(endpoint "$ip")]}" >/dev/null
	done
	wait "$requests" || fail "the load failed"
	assert_no_errors
	expect "backends that answered" "$(load_field '.answers | length')" $(($# + 1))
	assert_all_held 15
	for ip; do
		api PATCH "/v1/services/$service/endpoints" "{\"remove\": [$(endpoint "$ip")]}" >/dev/null
	done
	load 1 16 close "$url"
	assert_no_errors
	expect "backends that answer in the end" "$(load_field '.answers | length')" 1
}
