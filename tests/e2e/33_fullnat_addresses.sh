#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The addresses that fullnat sends from: where they are not the host's own they are announced, and go
# with a stop; where they are, ports must not be those of the host's sockets. A service changes its
# mode under load, and who asks an endpoint directly, through the host, is none of our business.
#
#   client 10.1.0.2 ---- lb (a router too) ---- fabric ------ backends, without a default route;
#                        172.17.0.100, fd00:99::1: SNAT addresses              backend8 has one

set -euo pipefail
. "$(dirname "$0")/topology.sh"

own='172.17.0.1, "fd00:17::1"'
other='172.17.0.100, "fd00:99::1"'

# with_snat ADDRESSES PORTS
with_snat() { say "snat: {addresses: [$1], ports: $2}" >>"$WORK/sluice.yaml"; }

services() {
	EXTRA="nodePort: 30080" service web "$VIP" 8080 TCP 172.17.0.{5,7}:8080
	service web6 "$VIP6" 8080 TCP '[fd00:17::5]:8080' '[fd00:17::7]:8080'
}

# refused WORDS: the daemon says no, in these words.
refused() {
	if on lb "$(program sluiced)" -c "$WORK/sluice.yaml" 2>"$WORK/refused.log"; then
		fail "it starts"
	fi
	grep -q "$1" "$WORK/refused.log" || fail "refused with: $(cat "$WORK/refused.log")"
}

announced() { ip -n "$(netns lb)" address show dev lo | grep -cE '172\.17\.0\.100/32|fd00:99::1/128'; }

mode() { api GET /v1/services/web | jq -r .forwarding; }

begin fullnat-addresses
two_arm
forwards lb
for n in 5 7 9; do
	ip -n "$(netns "backend$n")" route del default
	ip -n "$(netns "backend$n")" -6 route del default
	route "backend$n" fd00:99::1 via fd00:17::1 # IPv6 is not found beside its own link, as ARP is
done
serve_http "${BACKENDS[@]}"

on lb sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
config "$(services)"
with_snat "$own" 30000-40000
refused 'snat.ports: 30000-40000: 172.17.0.1 is the host.s own address'
config "$(services)"
with_snat "$other" 30000-40000
start_sluiced
wait_up web 2
wait_up web6 2
expect "announced SNAT addresses" "$(announced)" 2
wait_for 5 get || fail "no service"
load 2 8 close
assert_no_errors
assert_shares 172.17.0.{5,7}
load 2 8 close "http://[$VIP6]:8080/"
assert_no_errors
load 2 8 close http://10.1.0.1:30080/
assert_no_errors

# A client's own business with an endpoint of fullnat, routed by the kernel.
route client 172.17.0.0/16 via 10.1.0.1
api PUT /v1/services/web/endpoints '{"endpoints": ["172.17.0.7:8080", "172.17.0.8:8080"]}' >/dev/null
wait_up web 2
for _ in {1..5}; do
	expect "who asks an endpoint directly" "$(get http://172.17.0.8:8080/)" 172.17.0.8
	get >/dev/null || fail "no answer of the service beside it"
done

# From mode to mode: a request under way may be lost, the next ones are not.
api PUT /v1/services/web/endpoints '{"endpoints": ["172.17.0.8:8080"]}' >/dev/null
wait_up web 1
for to in nat fullnat nat fullnat; do
	spawn wrk client wrk -d 2s -c 8 -t 1 --timeout 1s -H 'Connection: close' \
		-s "$ROOT/tests/e2e/load.lua" "http://$VIP:8080/"
	sleep 0.5
	api GET /v1/services/web |
		jq "{name, ip, port, protocol, targetPort, nodePort, forwarding: \"$to\"}" >"$WORK/web.json"
	api PUT /v1/services/web "$(cat "$WORK/web.json")" >/dev/null
	expect "mode" "$(mode)" "$to"
	wait_for 8 gone wrk || fail "wrk does not end"
	load 2 8 close
	assert_no_errors
done

# The next start has no addresses for it: refused, until it says so again.
assert_conserved
stop_sluiced
expect "announced SNAT addresses after a stop" "$(announced || true)" 0
config "$(services)"
refused 'service default/web of the saved state: fullnat needs an IPv4 address'
config "$(services)"
with_snat "$other" 1024-2047
start_sluiced
wait_up web 1
load 2 8 keepalive
assert_no_errors
finish
