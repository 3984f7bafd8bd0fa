#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# wrk [-r ROUNDS] [-s SECONDS]: HTTP requests through sluice next to other ways to two nginx servers,
# in the same namespaces, one after the other and round by round: no balancer at all (one server,
# routed), the kernel's nftables DNAT, HAProxy in tcp mode, nginx stream. Requests a second over
# connections that are kept and over one each, and the latencies.
#
#   client ------ lb ------ fabric ------ backend5, backend7

set -euo pipefail
. "$(dirname "$0")/../e2e/topology.sh"
. "$(dirname "$0")/series.sh"

WAYS=(sluice direct nftables haproxy nginx)
SERVERS=(172.17.0.5:8080 172.17.0.7:8080)

# measure WAY KIND: one measurement; requests a second, and the 50th and 99th percentile in us.
measure() {
	local url=http://$VIP:8080/ header=keep-alive rate p50 p99

	[ "$1" != direct ] || url=http://172.17.0.5:8080/
	[ "$2" = keepalive ] || header=close
	read -r rate p50 p99 < <(on client wrk -d "${SECONDS_EACH}s" -c 32 -t 1 --timeout 5s --latency \
		-H "Connection: $header" "$url" |
		awk '
			function us(text) {
				if (text ~ /us$/) return text + 0
				return text ~ /ms$/ ? text * 1000 : text * 1000000
			}
			/50%/ { p50 = us($2) }
			/99%/ { p99 = us($2) }
			/Requests\/sec/ { rate = $2 }
			/Socket errors|Non-2xx/ { print > "/dev/stderr" }
			END { print rate, p50, p99 }')
	series_add "$1.$2.rate" "$rate"
	series_add "$1.$2.p50" "$p50"
	series_add "$1.$2.p99" "$p99"
}

begin_sluice() {
	launch_sluiced
	wait_for 10 sluiced_ready || fail "sluiced is not ready"
	wait_up web 2
}
end_sluice() { stop_sluiced; }

begin_direct() { :; }
end_direct() { :; }

begin_nftables() {
	ip -n "$(netns lb)" address add "$VIP/32" dev lo
	on lb nft -f - <<-RULES
		table ip bench {
			chain in {
				type nat hook prerouting priority dstnat;
				ip daddr $VIP tcp dport 8080 dnat to numgen inc mod 2 map { 0 : 172.17.0.5, 1 : 172.17.0.7 }
			}
		}
	RULES
}
end_nftables() {
	on lb nft delete table ip bench
	ip -n "$(netns lb)" address del "$VIP/32" dev lo
}

begin_haproxy() {
	ip -n "$(netns lb)" address add "$VIP/32" dev lo
	cat >"$WORK/haproxy.cfg" <<-CONFIG
		global
			nbthread 2
		defaults
			mode tcp
			timeout connect 5s
			timeout client 30s
			timeout server 30s
		listen web
			bind $VIP:8080
			server a ${SERVERS[0]}
			server b ${SERVERS[1]}
	CONFIG
	spawn haproxy lb haproxy -db -f "$WORK/haproxy.cfg"
	wait_for 5 get || fail "no answer by haproxy"
}
end_haproxy() {
	stop haproxy
	ip -n "$(netns lb)" address del "$VIP/32" dev lo
}

begin_nginx() {
	ip -n "$(netns lb)" address add "$VIP/32" dev lo
	cat >"$WORK/stream.conf" <<-CONFIG
		load_module /usr/lib/nginx/modules/ngx_stream_module.so;
		daemon off;
		user root;
		worker_processes 2;
		pid $WORK/stream.pid;
		events { worker_connections 4096; }
		stream {
			upstream web { server ${SERVERS[0]}; server ${SERVERS[1]}; }
			server { listen $VIP:8080; proxy_pass web; }
		}
	CONFIG
	spawn stream lb nginx -c "$WORK/stream.conf" -e "$WORK/stream.log"
	wait_for 5 get || fail "no answer by nginx stream"
}
end_nginx() {
	stop stream
	ip -n "$(netns lb)" address del "$VIP/32" dev lo
}

one_round() {
	local way

	for way in "${WAYS[@]}"; do
		"begin_$way"
		measure "$way" keepalive
		measure "$way" close
		"end_$way"
	done
}

# rows KIND WHAT
rows() {
	local way rate_aim p99_aim

	for way in "${WAYS[@]:1}"; do
		rate_aim=- p99_aim=-
		case $way in
		nftables) rate_aim='ratio>=0.9' ;;
		haproxy | nginx) rate_aim='ratio>=1' p99_aim='ratio<=1' ;;
		esac
		row "$2" requests/s "sluice.$1.rate" "$way" "$way.$1.rate" "$rate_aim"
		row "$2, median latency" us "sluice.$1.p50" "$way" "$way.$1.p50" -
		row "$2, 99th percentile" us "sluice.$1.p99" "$way" "$way.$1.p99" "$p99_aim"
	done
}

begin bench-wrk
two_arm
forwards lb
serve_http 5 7
route client 172.17.0.0/16 via 10.1.0.1
config "$(service web "$VIP" 8080 TCP "${SERVERS[@]}")"
remark "wrk, 32 connections, $SECONDS_EACH s each, two nginx servers; all on $(nproc) cores."
rounds one_round
rows keepalive "requests, keep-alive"
rows close "requests, a connection each"
