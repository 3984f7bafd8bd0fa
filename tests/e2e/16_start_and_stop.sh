#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Starts and stops: what is announced and attached goes again; what a predecessor left is taken
# over; what belongs to others stops the start with a reason, and harms nobody.
#
#   client ------ lb ------ fabric ------ backend .5
#                 also: somebody listens on 0.0.0.0:8080 there

set -euo pipefail
. "$(dirname "$0")/topology.sh"

announced() { ip -n "$(netns lb)" address show dev lo | grep -q "$VIP/32"; }

# refuses WHY PATTERN: a start ends with an error, and the log says so.
refuses() {
	: >"$WORK/sluiced.log"
	launch_sluiced "$WORK/other.yaml"
	wait_for 10 gone sluiced || fail "$1: started all the same"
	reap sluiced
	[ "${EXITS[sluiced]}" -ne 0 ] || fail "$1: exit status 0"
	grep -qiE "$2" "$WORK/sluiced.log" || fail "$1: the log does not say: $(cat "$WORK/sluiced.log")"
}

begin start-and-stop
two_arm
serve_http 5
spawn listener lb socat TCP-LISTEN:8080,reuseaddr,fork EXEC:cat
config "$(service web "$VIP" 8080 TCP 172.17.0.5:8080)"

# A socket file that nobody listens on, as a killed process leaves it.
"$PYTHON" -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$SOCKET"
start_sluiced
wait_up web 1
wait_for 5 announced || fail "the virtual IP is not announced"
expect "with a listener on the same port" "$(get)" 172.17.0.5
expect "mode of the socket" "$(stat -c %a "$SOCKET")" 660

# A second one with the same socket, or the same interfaces: refused, the first goes on.
first=${PIDS[sluiced]}
cp "$WORK/sluiced.log" "$WORK/first.log"
cp "$WORK/sluice.yaml" "$WORK/other.yaml"
refuses "the same socket" 'sluice.sock|in use|running'
sed -i "s#$SOCKET#$RUNTIME/other.sock#; s#$WORK/state#$WORK/state2#; s#:$METRICS_PORT#:9691#" \
	"$WORK/other.yaml"
spawn monitor lb ip monitor address
refuses "the same interfaces" 'eth0'
stop monitor
if grep -q "$VIP" "$WORK/monitor.log"; then fail "the first one's address went for a moment"; fi
[ ! -e "$RUNTIME/other.sock" ] || fail "a refused start leaves its socket"
expect "the first one" "$(get)" 172.17.0.5
PIDS[sluiced]=$first
stop_sluiced
announced && fail "the virtual IP is still announced"
[ ! -e "$SOCKET" ] || fail "the socket is still there"

# The metrics port is somebody else's.
spawn occupant lb socat "TCP-LISTEN:$METRICS_PORT,bind=127.0.0.1" EXEC:cat
wait_for 5 on lb bash -c "ss -Hltn 'sport = :$METRICS_PORT' | grep -q ."
cp "$WORK/sluice.yaml" "$WORK/other.yaml"
refuses "the metrics port taken" "$METRICS_PORT"
xdp_attached eth0 && fail "a refused start leaves its XDP program"
stop occupant

# Signals in the middle of a start: it ends cleanly all the same, and what it attached goes.
for number in HUP TERM; do
	: >"$WORK/sluiced.log"
	launch_sluiced
	wait_for 5 xdp_attached eth0 || fail "no XDP program attached"
	kill -s "$number" "${PIDS[sluiced]}"
	stop sluiced TERM
	expect "exit status after $number at start" "${EXITS[sluiced]}" 0
	xdp_attached eth0 && fail "stopped at start, it leaves its XDP program"
done

# A killed one leaves its program; the next takes over, and stops cleanly.
start_sluiced
kill_sluiced
xdp_attached eth0 || fail "nothing holds the traffic off while the process is away"
start_sluiced
wait_up web 1
wait_for 5 get || fail "no answer after taking over"

# Slots that were given while the state could not be saved mean something else after a restart.
mkdir "$WORK/state/state.json.new"
api PUT /v1/services/web/endpoints '{"endpoints": ["172.17.0.5:8080", "172.17.0.7:8080"]}' >/dev/null
kill_sluiced
rmdir "$WORK/state/state.json.new"
start_sluiced
grep -q 'flow table .*: fresh: the file does not belong to the saved state' "$WORK/sluiced.log" ||
	fail "flows kept without their slots: $(grep 'flow table' "$WORK/sluiced.log")"
finish
