#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Backends in a subnet behind a router: the next hop is the router, for all of them.
#
#   client -- lb -- fabric ------ router ------ farm -- backends 172.18.0.5, ... fd00:18::5, ...
#             VIP   172.17.0.254    172.18.0.1

set -euo pipefail
. "$(dirname "$0")/topology.sh"

begin behind-router
routed
serve_http "${BACKENDS[@]}"
start_with "$(
	service web "$VIP" 8080 TCP 172.18.0.{5,7,8,9}:8080
	service web6 "$VIP6" 8080 TCP '[fd00:18::5]:8080' '[fd00:18::7]:8080'
)"
wait_up web 4
wait_up web6 2

load 2 32 close
assert_no_errors
assert_shares 172.18.0.{5,7,8,9}
load 1 16 close "http://[$VIP6]:8080/"
assert_no_errors
expect "resets" "$(resets)" 0

# The route goes away: no endpoint can be reached, and the daemon says so. It comes back.
ip -n "$(netns lb)" route del 172.18.0.0/16
wait_up web 0
route lb 172.18.0.0/16 via 172.17.0.254
wait_up web 4
wait_for 5 get || fail "no answer after the route is back"
finish
