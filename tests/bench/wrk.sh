#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# wrk [ROUNDS [SECONDS]]: HTTP requests through sluice next to other ways to two nginx servers, in the
# same namespaces, one after the other and round by round: no balancer at all (one server, routed),
# the kernel's nftables DNAT, HAProxy in tcp mode, nginx stream. Keep-alive requests and connections
# per second with their latencies; medians of the rounds (least-most), and the ratio to sluice's.
#
#   client ------ lb ------ fabric ------ backend5, backend7

set -euo pipefail
. "$(dirname "$0")/../e2e/topology.sh"

ROUNDS=${1:-5}
SECONDS_EACH=${2:-3}
WAYS=(sluice direct nftables haproxy nginx)
SERVERS=(172.17.0.5:8080 172.17.0.7:8080)

# measure WAY KIND: one round; requests/s, p50 and p99 in us go to $WORK/WAY.KIND.
measure() {
	local url=http://$VIP:8080/ header=keep-alive

	[ "$1" != direct ] || url=http://172.17.0.5:8080/
	[ "$2" = keepalive ] || header=close
	on client wrk -d "${SECONDS_EACH}s" -c 32 -t 1 --timeout 5s --latency -H "Connection: $header" "$url" |
		awk '
			function us(text) {
				if (text ~ /us$/) return text + 0
				return text ~ /ms$/ ? text * 1000 : text * 1000000
			}
			/50%/ { p50 = us($2) }
			/99%/ { p99 = us($2) }
			/Requests\/sec/ { rate = $2 }
			/Socket errors|Non-2xx/ { print > "/dev/stderr" }
			END { print rate, p50, p99 }' >>"$WORK/$1.$2"
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

# row WAY KIND: medians, and the ratio of the rates round by round.
row() {
	paste -d' ' "$WORK/$1.$2" "$WORK/sluice.$2" | awk -v way="$1" '
		function sorted(a, n, i, j, t) {
			for (i = 2; i <= n; i++)
				for (j = i; j > 1 && a[j] < a[j - 1]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
		}
		{ rate[NR] = $1 + 0; p50[NR] = $2 + 0; p99[NR] = $3 + 0; ratio[NR] = $4 / $1 }
		END {
			sorted(rate, NR); sorted(p50, NR); sorted(p99, NR); sorted(ratio, NR)
			m = int((NR + 1) / 2)
			printf "| %-8s | %7d (%d-%d) | %6d | %6d | %.2f (%.2f-%.2f) |\n", way, rate[m], rate[1],
				rate[NR], p50[m], p99[m], ratio[m], ratio[1], ratio[NR]
		}'
}

begin bench-wrk
two_arm
forwards lb
serve_http 5 7
route client 172.17.0.0/16 via 10.1.0.1
config "$(service web "$VIP" 8080 TCP "${SERVERS[@]}")"
for ((round = 0; round < ROUNDS; round++)); do
	for way in "${WAYS[@]}"; do
		"begin_$way"
		measure "$way" keepalive
		measure "$way" close
		"end_$way"
	done
done
declare -A KINDS=([keepalive]="keep-alive" [close]="one request each")
for kind in keepalive close; do
	say
	say "$ROUNDS rounds of $SECONDS_EACH s, 32 connections, ${KINDS[$kind]}"
	say
	say "| way | requests/s (least-most) | p50 us | p99 us | sluice / it |"
	say "|---|---|---|---|---|"
	for way in "${WAYS[@]}"; do row "$way" "$kind"; done
done
