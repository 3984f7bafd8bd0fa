#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# nodePort: the same service on each of the host's own addresses, which go on being the host's.
#
#   client 10.1.0.2 ------ 10.1.0.1 lb 172.17.0.1 ------ fabric ------ backends :8080
#                          VIP :8080, and 10.1.0.1:30854, 172.17.0.1:30854, [fd00:1::1]:30856

set -euo pipefail
. "$(dirname "$0")/topology.sh"

begin node-port
two_arm
asks_from 10.1.0.3 10.1.0.1
asks_from 10.1.0.4 172.17.0.1
asks_from 10.1.0.5 10.1.0.77
serve_http 5 7
serve_udp 5
start_with "$(
	EXTRA="nodePort: 30854" service web "$VIP" 8080 TCP 172.17.0.{5,7}:8080
	EXTRA="nodePort: 30856" service web6 "$VIP6" 8080 TCP '[fd00:17::5]:8080'
	EXTRA="nodePort: 30853" service dns "$VIP" 53 UDP 172.17.0.5:5353
)"
wait_up web 2
wait_up web6 1
wait_up dns 1

load 1 16 close http://10.1.0.1:30854/
assert_no_errors
assert_shares 172.17.0.{5,7}
load 1 16 close http://172.17.0.1:30854/
assert_no_errors
load 1 16 close http://10.96.43.114:8080/
assert_no_errors
expect "over IPv6" "$(get "http://[fd00:1::1]:30856/")" fd00:17::5
expect "UDP" "$(ask_udp 10.1.0.1 30853 10)" "10 172.17.0.5"
expect "resets" "$(resets)" 0

# An address the host gets later serves too, one that it loses no longer does.
address lb eth0 10.1.0.77/24
wait_for 5 get http://10.1.0.77:30854/ || fail "the new address does not serve"
ip -n "$(netns lb)" address del 10.1.0.77/24 dev eth0
on client ping -c 2 -i 0.2 -W 1 10.1.0.1 >/dev/null || fail "the host no longer answers pings"
finish
