#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Two arms, TCP over IPv4: every backend gets its share, each packet is counted, the answers come
# from the virtual IP, and large segments arrive whole.
#
#   client 10.1.0.2 ------ 10.1.0.1 lb 172.17.0.1 ------ fabric ------ backends 172.17.0.5, .7, .8, .9
#                          VIP 10.96.43.114:8080

set -euo pipefail
. "$(dirname "$0")/topology.sh"

begin two-arm-tcp4
two_arm
serve_http "${BACKENDS[@]}"
start_with "$(service web "$VIP" 8080 TCP 172.17.0.{5,7,8,9}:8080)"
wait_up web 4

load 2 32 close
assert_no_errors
assert_shares 172.17.0.{5,7,8,9}
expect "resets" "$(resets)" 0

# What the metrics port says agrees with what the client saw and with itself.
connections=$(metrics sluice_service_connections_total service=web)
[ "$connections" -ge "$(load_field .requests)" ] ||
	fail "$connections connections counted for $(load_field .requests) requests"
expect "connections by endpoint" "$(metrics sluice_endpoint_connections_total service=web)" \
	"$connections"
for direction in in out; do
	expect "packets $direction, by endpoint" \
		"$(metrics sluice_endpoint_packets_total service=web direction=$direction)" \
		"$(metrics sluice_service_packets_total service=web direction=$direction)"
done
expect "drops" "$(metrics sluice_dropped_packets_total)" 0

load 2 16 keepalive
assert_no_errors
assert_download
finish
