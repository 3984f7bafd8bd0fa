#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# SIGHUP: a good file is applied, of a bad one nothing; the log says file, line and key.
#
#   client ------ lb ------ fabric ------ backends .5 and .7

set -euo pipefail
. "$(dirname "$0")/topology.sh"

generation() { metrics sluice_generation; }
answers_from() { [ "$(get)" = "$1" ]; }
syncs() { say "$(metrics sluice_sync_total result=applied) $(metrics sluice_sync_total result=refused)"; }
complains() { grep -qE "$1" "$WORK/sluiced.log"; }

begin reload
two_arm
serve_http 5 7
start_with "$(service web "$VIP" 8080 TCP 172.17.0.5:8080)"
wait_up web 1
expect "before" "$(get)" 172.17.0.5

config "$(service web "$VIP" 8080 TCP 172.17.0.7:8080)"
reload_sluiced
wait_for 5 answers_from 172.17.0.7 || fail "the reloaded file is not in use"
expect "syncs counted" "$(syncs)" "1 0"

before=$(generation)
config "$(service web "$VIP" 99999 TCP 172.17.0.5:8080)"
line=$(grep -n 'port: 99999' "$WORK/sluice.yaml" | cut -d: -f1)
reload_sluiced
wait_for 5 complains "sluice.yaml:$line: services\[0\]\.port: 99999" ||
	fail "no line in the log names sluice.yaml:$line: services[0].port"
expect "after a bad value" "$(get) $(generation)" "172.17.0.7 $before"

say 'ports: [{device: af_xdp:eth0' >"$WORK/sluice.yaml"
reload_sluiced
wait_for 5 complains 'sluice.yaml:[0-9]+: .*' || fail "no line in the log names the syntax error"
rm "$WORK/sluice.yaml"
reload_sluiced
sleep 0.3
expect "after a missing file" "$(get) $(generation)" "172.17.0.7 $before"

config "$(
	service web "$VIP" 8080 TCP 172.17.0.5:8080
	service more "$VIP" 8081 TCP 172.17.0.7:8080
)"
reload_sluiced
wait_up more 1
expect "syncs counted, refused ones too" "$(syncs)" "2 3"
expect "the next good file" "$(get) $(get "http://$VIP:8081/")" "172.17.0.5 172.17.0.7"
finish
