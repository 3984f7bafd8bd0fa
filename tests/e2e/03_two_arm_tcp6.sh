#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Two arms, TCP over IPv6.
#
#   client fd00:1::2 ------ fd00:1::1 lb fd00:17::1 ------ fabric ------ backends fd00:17::5, 7, 8, 9
#                           VIP 2001:db8:43::114, port 80 -> 8080

set -euo pipefail
. "$(dirname "$0")/topology.sh"

begin two-arm-tcp6
two_arm
serve_http "${BACKENDS[@]}"
start_with "$(service web6 "$VIP6" 80 TCP '[fd00:17::5]:8080' '[fd00:17::7]:8080' \
	'[fd00:17::8]:8080' '[fd00:17::9]:8080')"
wait_up web6 4

load 2 32 close "http://[$VIP6]/"
assert_no_errors
assert_shares fd00:17::{5,7,8,9}
expect "resets" "$(resets)" 0
assert_download "http://[$VIP6]/blob"
finish
