#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# One arm: clients and backends reach the load balancer over the same interface.
#
#   client 10.1.0.2 ---+
#                      |            eth0 10.1.0.1/24, 172.17.0.1/16
#   backends 172.17 ---+-- fabric -- lb   VIP 10.96.43.114:8080

set -euo pipefail
. "$(dirname "$0")/topology.sh"

begin one-arm
one_arm
serve_http "${BACKENDS[@]}"
start_with "$(
	service web "$VIP" 8080 TCP 172.17.0.{5,7,8,9}:8080
	service web6 "$VIP6" 8080 TCP '[fd00:17::5]:8080' '[fd00:17::7]:8080'
)"
wait_up web 4
wait_up web6 2

load 2 32 close
assert_no_errors
assert_shares 172.17.0.{5,7,8,9}
load 1 16 close "http://[$VIP6]:8080/"
assert_no_errors
assert_shares fd00:17::{5,7}
assert_download
expect "resets" "$(resets)" 0
finish
