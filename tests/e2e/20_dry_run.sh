#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What ?dryRun=true says would move is what moves then.
#
#   client ------ lb ------ fabric ------ backends .5, .7 and .8

set -euo pipefail
. "$(dirname "$0")/topology.sh"

# moves METHOD PATH BODY: both ways; prints the rows moved.
moves() {
	local dry real

	dry=$(api "$1" "$2?dryRun=true" "$3" | jq .rowsMoved)
	real=$(api "$@" | jq .rowsMoved)
	expect "rows moved by $1 $2 $3" "$real" "$dry"
	say "$real"
}

begin dry-run
two_arm
start_with "$(service known "$VIP" 8080 TCP 172.17.0.{5,7,8}:8080)" # their next hops are resolved
wait_up known 3

b=/v1/services/b
expect "made" "$(moves PUT $b \
	'{"ip": "10.96.0.2", "port": 80, "endpoints": ["172.17.0.5:8080", "172.17.0.7:8080"]}')" 65537
[ "$(moves PATCH $b/endpoints '{"add": ["172.17.0.8:8080"]}')" -lt 30000 ] || fail "most rows moved"
moves PATCH $b/endpoints '{"drain": ["172.17.0.8:8080"]}' >/dev/null
moves PATCH $b/endpoints '{"weight": ["172.17.0.5:8080=3"]}' >/dev/null
expect "resized" "$(moves PUT $b '{"ip": "10.96.0.2", "port": 80, "tableSize": 251}')" 251
expect "emptied" "$(moves PUT $b/endpoints '[]')" 251
expect "filled" "$(moves PUT $b/endpoints '["172.17.0.5:8080"]')" 251
moves PUT $b '{"ip": "10.96.0.2", "port": 80, "tableSize": 251, "onEmpty": "keepLast"}' >/dev/null
expect "drained, but kept" "$(moves PATCH $b/endpoints '{"drain": ["172.17.0.5:8080"]}')" 0
expect "deleted" "$(moves DELETE $b "")" 251
finish
