#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The ground the other tests stand on, without sluiced: in each topology the client reaches every
# backend's servers through plain routing, and the tools see what they should.

set -euo pipefail
. "$(dirname "$0")/topology.sh"

# reaches SUBNET: every backend answers with its own address, over both families and protocols.
reaches() {
	local n

	for n in "${BACKENDS[@]}"; do
		expect "HTTP" "$(get "http://172.$1.0.$n:8080/")" "172.$1.0.$n"
		expect "HTTP over IPv6" "$(get "http://[fd00:$1::$n]:9090/")" "fd00:$1::$n"
		expect "UDP" "$(ask_udp "172.$1.0.$n" 5353 2)" "2 172.$1.0.$n"
		expect "UDP over IPv6" "$(ask_udp "fd00:$1::$n" 5353 2)" "2 fd00:$1::$n"
	done
}

RESETTER='
import socket, struct
server = socket.create_server(("", 81))
while True:
    connection, _ = server.accept()
    connection.recv(1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # what was closed is over
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
'

# A server that resets what its client has closed: counted while the client still listens, and not
# when it is gone.
server_resets() {
	spawn resetter backend5 "$PYTHON" -c "$RESETTER"
	wait_for 5 on backend5 bash -c "ss -Hltn 'sport = :81' | grep -q ."
	on client socat -t 5 - TCP:172.17.0.5:81 </dev/null >/dev/null 2>&1 || true
	expect "resets of a connection" "$(resets)" 2
	on client bash -c 'exec 3<>/dev/tcp/172.17.0.5/81'
	wait_for 5 sent_resets 2 || fail "the server did not reset again"
	expect "resets of nobody" "$(resets)" 2
}

sent_resets() { on backend5 nstat -as TcpOutRsts | grep -q "TcpOutRsts  *$1 "; }

# try TOPOLOGY SUBNET
try() (
	begin "topology-$1"
	"$1"
	forwards lb
	route client 172.16.0.0/12 via 10.1.0.1
	route client fd00::/16 via fd00:1::1
	serve_http "${BACKENDS[@]}"
	serve_udp "${BACKENDS[@]}"
	reaches "$2"

	load 1 8 close "http://172.$2.0.7:8080/"
	assert_no_errors
	expect "who answered" "$(load_field '.answers | keys | join(" ")')" "172.$2.0.7"

	[ "$1" = two_arm ] || exit 0
	hold 0.2 20 "http://172.$2.0.8:8080/slow?rate=400k"
	wait_for 5 all_held || fail "no 20 downloads at once"
	expect "resets" "$(resets)" 0
	if get "http://172.$2.0.8:81/" 2>/dev/null; then fail "port 81 answers"; fi
	expect "resets of a closed port" "$(resets)" 1
	server_resets
	assert_all_held 15
)

need_root
try two_arm 17
try one_arm 17
try routed 18
