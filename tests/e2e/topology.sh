# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The networks of the end-to-end tests and of scripts/demo, and who lives in them. One namespace a
# host, one for each switch.

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

VIP=10.96.43.114
VIP6=2001:db8:43::114
BACKENDS=(5 7 8 9) # 172.17.0.N and fd00:17::N
BLOB_BYTES=$((64 << 20))

# two_arm [VETH OPTION]...:
#
#   client -------------- lb ------------------- fabric --+-- backend5  172.17.0.5   fd00:17::5
#   eth0           eth0       eth1                        +-- backend7  172.17.0.7   fd00:17::7
#   10.1.0.2       10.1.0.1   172.17.0.1/16               +-- backend8  172.17.0.8   fd00:17::8
#   fd00:1::2      fd00:1::1  fd00:17::1/64               +-- backend9  172.17.0.9   fd00:17::9
#                  VIP 10.96.43.114, 2001:db8:43::114
two_arm() {
	host client lb
	switch fabric
	link client eth0 lb eth0 "$@"
	plug lb eth1 fabric "$@"
	address lb eth0 10.1.0.1/24 fd00:1::1/64
	address lb eth1 172.17.0.1/16 fd00:17::1/64
	client_side
	backend_hosts fabric
	LB_PORTS=(eth0 eth1)
}

# one_arm: the same subnets, all of them on one switch and one interface of the load balancer.
#
#   client 10.1.0.2  --+
#                      |            eth0 10.1.0.1/24    fd00:1::1/64
#   backends 172.17 ---+-- fabric -- lb  172.17.0.1/16  fd00:17::1/64
one_arm() {
	host client lb
	switch fabric
	plug lb eth0 fabric "$@"
	plug client eth0 fabric
	address lb eth0 10.1.0.1/24 fd00:1::1/64 172.17.0.1/16 fd00:17::1/64
	client_side
	backend_hosts fabric
	LB_PORTS=(eth0)
}

# routed: two_arm, and the backends one hop further away.
#
#   client -- lb -- fabric ------------ router --------------- farm --+-- backends
#                172.17.0.1   eth0 172.17.0.254   eth1 172.18.0.1     172.18.0.5, .7, .8, .9
#                fd00:17::1        fd00:17::fe         fd00:18::1     fd00:18::5, ...
routed() {
	host client lb router
	switch fabric
	switch farm
	link client eth0 lb eth0
	plug lb eth1 fabric
	plug router eth0 fabric
	plug router eth1 farm
	address lb eth0 10.1.0.1/24 fd00:1::1/64
	address lb eth1 172.17.0.1/16 fd00:17::1/64
	address router eth0 172.17.0.254/16 fd00:17::fe/64
	address router eth1 172.18.0.1/16 fd00:18::1/64
	forwards router
	route router default via 172.17.0.1
	route router default via fd00:17::1
	route lb 172.18.0.0/16 via 172.17.0.254
	route lb fd00:18::/64 via fd00:17::fe
	client_side
	backend_hosts farm 18
	LB_PORTS=(eth0 eth1)
}

client_side() {
	address client eth0 10.1.0.2/24 fd00:1::2/64
	route client "$VIP" via 10.1.0.1
	route client "$VIP6" via fd00:1::1
	count_resets
}

# backend_hosts SWITCH [SUBNET]: 172.SUBNET.0.N and fd00:SUBNET::N each.
backend_hosts() {
	local n subnet=${2:-17}

	for n in "${BACKENDS[@]}"; do
		host "backend$n"
		plug "backend$n" eth0 "$1"
		address "backend$n" eth0 "172.$subnet.0.$n/16" "fd00:$subnet::$n/64"
		route "backend$n" default via "172.$subnet.0.1"
		route "backend$n" default via "fd00:$subnet::1"
	done
}

forwards() {
	on "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

# --- what the client sees -------------------------------------------------------------------

# asks_from ADDRESS DESTINATION: the client has a second address and asks DESTINATION from there.
# Two frontends of one endpoint see the same client port as the same connection, as forwarding by
# nat leaves the source alone: tests that open thousands of connections to both ask from two.
asks_from() {
	address client eth0 "$1/24"
	ip -n "$(netns client)" route replace "$2" via 10.1.0.1 src "$1"
}

# Counts the resets that reach a socket of the client. One that comes when both sides have closed
# (TIME-WAIT has no mark) is of no concern to anybody: a server's kernel answers the client's last
# acknowledgement with it when that was sent twice.
count_resets() {
	on client nft -f - <<-'RULES'
		table inet watch {
			counter resets { }
			chain input {
				type filter hook input priority 0;
				tcp flags & rst == rst socket mark 0 counter name resets
			}
		}
	RULES
}

resets() { on client nft -j list counter inet watch resets | jq '.nftables[1].counter.packets'; }

# get URL: one request of the client, by default to the virtual IP; prints the answer's body.
get() { on client curl -sS -g --max-time 5 "${1:-http://$VIP:8080/}"; }

# load SECONDS CONNECTIONS [keepalive|close] [URL]: wrk from the client; one JSON object with
# requests, the errors by kind, and the answers by body, in $WORK/load.json.
load() {
	local connection=keep-alive

	[ "${3:-keepalive}" = keepalive ] || connection=close
	on client timeout $(($1 + 15)) wrk -d "$1s" -c "$2" -t 1 --timeout 5s -H "Connection: $connection" \
		-s "$ROOT/tests/e2e/load.lua" "${4:-http://$VIP:8080/}" >"$WORK/wrk.txt" 2>&1 ||
		fail "wrk: $(tail -n 3 "$WORK/wrk.txt")"
	grep '^{' "$WORK/wrk.txt" >"$WORK/load.json" || fail "wrk: $(cat "$WORK/wrk.txt")"
}

load_field() { jq -r "$1" "$WORK/load.json"; }

# Every backend has its share of the last load's answers: no less and no more than 30 % off.
# assert_shares ADDRESS...
assert_shares() {
	local a

	expect "who answered" "$(load_field '.answers | keys | join(" ")')" "$(printf '%s\n' "$@" |
		sort | paste -sd' ')"
	for a; do
		load_field "(.answers[\"$a\"] * $# / .requests) | . > 0.7 and . < 1.3" | grep -q true ||
			fail "$a has an unfair share: $(load_field '.answers')"
	done
}

# The 64 MiB file arrives whole. assert_download [URL]
assert_download() {
	on client curl -sS -g --max-time 20 -o "$WORK/blob" "${1:-http://$VIP:8080/blob}" ||
		fail "no download"
	cmp "$WORK/blob" "$WORK/www/blob" || fail "the download differs"
	rm -f "$WORK/blob"
}

# The last load had requests and no failed one.
assert_no_errors() {
	expect "failed requests of $(load_field .requests)" "$(load_field '.errors | add')" 0
	[ "$(load_field .requests)" -gt 0 ] || fail "no request was answered"
}

# ask_udp ADDRESS PORT FLOWS: that many sockets ask once each; "N answer" lines, by answer.
ask_udp() { on client "$PYTHON" "$ROOT/tests/e2e/udp.py" ask "$1" "$2" "$3"; }

# --- backends -------------------------------------------------------------------------------

# serve_http N... : nginx on backend N, ports 8080 and 9090, both families. / answers the
# address that was asked; /who the backend's name; /blob is 64 MiB of noise; /slow?rate=96k is 1152 KiB of it, in 12 s.
serve_http() {
	local n

	[ -f "$WORK/www/blob" ] || make_files
	for n; do
		nginx_config "$n" >"$WORK/backend$n.conf"
		spawn "nginx$n" "backend$n" nginx -c "$WORK/backend$n.conf" -e "$WORK/nginx$n.log"
	done
	for n; do
		wait_for 5 on "backend$n" curl -sf -o /dev/null http://127.0.0.1:8080/ ||
			fail "nginx on backend$n: $(tail -n 3 "$WORK/nginx$n.log")"
	done
}

nginx_config() {
	cat <<-CONFIG
		daemon off;
		user root;
		worker_processes 1;
		pid $WORK/nginx$1.pid;
		events { worker_connections 4096; }
		http {
			access_log off;
			keepalive_requests 1000000;
			sendfile on;
			client_body_temp_path $WORK/nginx$1.tmp;
			proxy_temp_path $WORK/nginx$1.tmp;
			fastcgi_temp_path $WORK/nginx$1.tmp;
			uwsgi_temp_path $WORK/nginx$1.tmp;
			scgi_temp_path $WORK/nginx$1.tmp;
			server {
				listen 8080 backlog=4096;
				listen 9090 backlog=4096;
				listen [::]:8080 backlog=4096;
				listen [::]:9090 backlog=4096;
				location / { return 200 "\$server_addr\n"; }
				location = /who { return 200 "backend$1\n"; }
				location = /port { return 200 "\$server_port\n"; }
				location = /blob { alias $WORK/www/blob; }
				location = /slow { alias $WORK/www/slow; limit_rate \$arg_rate; }
			}
		}
	CONFIG
}

make_files() {
	mkdir -p "$WORK/www"
	head -c "$BLOB_BYTES" /dev/urandom >"$WORK/www/blob"
	head -c $((1152 << 10)) "$WORK/www/blob" >"$WORK/www/slow"
	sha256sum <"$WORK/www/slow" | cut -d' ' -f1 >"$WORK/www/slow.sha256"
}

# serve_udp N...: on backend N, port 5353, both families; answers the address that was asked.
serve_udp() {
	local n

	for n; do
		spawn "udp$n" "backend$n" "$PYTHON" "$ROOT/tests/e2e/udp.py" serve 5353
	done
	for n; do
		wait_for 5 udp_listens "backend$n" 5353 || fail "no UDP server on backend$n"
	done
}

udp_listens() { [ -n "$(on "$1" ss -Hlun "sport = :$2")" ]; }

# fragments HOST ARGUMENT...: what fragments.py says there, and its server with serve_fragments HOST
# PORT [backward].
fragments() {
	local host=$1

	shift
	on "$host" "$PYTHON" "$ROOT/tests/e2e/fragments.py" "$@"
}
serve_fragments() {
	spawn "$1-$2" "$1" "$PYTHON" "$ROOT/tests/e2e/fragments.py" serve "${@:2}"
	wait_for 5 udp_listens "$1" "$2" || fail "no server on $1"
}

# hold SECONDS COUNT [URL]: COUNT downloads at once from the client, in the background, started
# over SECONDS, each checked against the digest of /slow.
hold() {
	spawn hold client "$PYTHON" "$ROOT/tests/e2e/hold.py" "$1" "$2" "${3:-http://$VIP:8080/slow?rate=96k}" \
		"$(cat "$WORK/www/slow.sha256")"
}

all_held() { grep -q '^all connected' "$WORK/hold.log"; }

# Waits for the downloads: all whole, none broken.
assert_all_held() {
	wait_for "$1" gone hold || fail "downloads still not done after $1 s"
	reap hold
	[ "${EXITS[hold]}" -eq 0 ] || fail "downloads broke: $(tail -n 5 "$WORK/hold.log")"
}

# --- the load balancer ----------------------------------------------------------------------

# config [SERVICES]: $WORK/sluice.yaml for the topology; services from the argument.
# QUEUES, CORES, IDLE and ANNOUNCE say otherwise.
config() {
	local port

	{
		say "ports:"
		for port in "${LB_PORTS[@]}"; do
			say "  - {device: 'af_xdp:$port', queues: ${QUEUES:-1}}"
		done
		say "workers: {cores: ${CORES:-auto}, idle: ${IDLE:-adaptive}}"
		say "memory: {hugepages: auto}"
		say "flows: {capacity: 65536}"
		say "announce: ${ANNOUNCE:-lo}"
		say "control: {socket: $SOCKET, group: root}"
		say "metrics: {listen: '127.0.0.1:$METRICS_PORT'}"
		say "state: {directory: $WORK/state}"
		say "services:${1:+}"
		say "${1:-  []}"
	} >"$WORK/sluice.yaml"
}

# service NAME IP PORT PROTOCOL [ENDPOINT]...: YAML of one service, for config. EXTRA adds keys.
service() {
	local name=$1 ip=$2 port=$3 protocol=$4

	shift 4
	say "  - name: $name"
	say "    ip: '$ip'"
	say "    port: $port"
	say "    protocol: $protocol"
	[ -z "${EXTRA-}" ] || say "    $EXTRA"
	say "    endpoints: [$([ $# -eq 0 ] || printf "'%s', " "$@" | sed 's/, $//')]"
}

# endpoints_of SERVICE: the endpoints that take traffic, one a line.
endpoints_up() { metrics sluice_endpoint_up service="$1"; }

# wait_up SERVICE COUNT: that many of its endpoints can take traffic.
wait_up() {
	wait_for 5 up_is "$1" "$2" ||
		fail "$1: $(endpoints_up "$1") endpoints up, wanted $2"
}

up_is() { [ "$(endpoints_up "$1")" -eq "$2" ]; }

# endpoint_metric METRIC ENDPOINT [LABEL=VALUE]...
endpoint_metric() { metrics "sluice_endpoint_$1" endpoint="$2" "${@:3}"; }

xdp_attached() { ip -n "$(netns lb)" -d link show dev "$1" | grep -q 'prog/xdp'; }

# A guard is what holds the traffic off while a killed process's program is replaced.
guarded() { tc -n "$(netns lb)" filter show dev "$1" ingress | grep -q .; }

# start_with SERVICES: configuration, daemon, ready.
start_with() {
	config "$1"
	start_sluiced
}

# Every test ends with this: nothing crashed, no packet got lost, and a clean stop leaves the
# interfaces and addresses as they were.
finish() {
	local port

	assert_no_crash
	stop_sluiced
	for port in "${LB_PORTS[@]}"; do
		if xdp_attached "$port"; then fail "an XDP program is still on $port"; fi
		if guarded "$port"; then fail "a guard is still on $port"; fi
	done
	if ip -n "$(netns lb)" address show dev lo | grep -qE "$VIP|$VIP6"; then
		fail "a virtual IP is still announced"
	fi
	assert_clean_log
}

on_failure() {
	warn "failed (exit $1)${FAILED_AT:+ at $FAILED_AT}"
	sluiced_report
}
