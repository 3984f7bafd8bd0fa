#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# `sluicectl doctor` says what is wrong, what mends it, and nothing else; mended, it is silent again.
#
#   client ------ lb ------ fabric --+-- backend5
#      |                             +-- backend7
#      +--- 10.9.0.0/24 ------------------- backend7: a way past lb

set -euo pipefail
. "$(dirname "$0")/topology.sh"

COPIES='note copy-mode port eth0;note copy-mode port eth1;'

# What it finds, "SEVERITY CHECK SUBJECT;" each, but for what this machine's memory and cores are.
doctor() {
	STATUS=0
	on lb "$(program sluicectl)" -s "$SOCKET" -o json doctor >"$WORK/doctor.json" || STATUS=$?
	FOUND=$(jq -r '.[] | select([.check] | inside(["hugepages", "node", "cores", "isolation"]) | not)
		| "\(.severity) \(.check) \(.subject);"' "$WORK/doctor.json" | sort | tr -d '\n')
}

# finds STATUS FINDINGS
finds() {
	doctor
	expect "what the doctor finds" "$FOUND" "$2"
	expect "the doctor's exit status" "$STATUS" "$1"
}

# Does what the doctor says of a check.
mend() { bash -c "$(jq -r --arg check "$1" '.[] | select(.check == $check).fix' "$WORK/doctor.json")"; }

ask_in_vain() {
	local i

	for i in 1 2 3; do
		! on client curl -s --max-time 0.3 "http://$VIP:9090/" || fail "answered in spite of the bypass"
	done
}

begin doctor
two_arm
serve_http 5 7
on lb sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth{0,1}.rp_filter=0
services=$(
	service web "$VIP" 8080 TCP 172.17.0.5:8080
	service bypassed "$VIP" 9090 TCP 172.17.0.7:9090
)
start_with "$services"
wait_up web 1
wait_up bypassed 1
load 1 4 close
assert_no_errors
finds 0 "$COPIES"
ctl doctor -o json | jq -r '.[].check' | grep -qx interface ||
	fail "from elsewhere, another's eth0 was taken for this one"

on lb sysctl -qw net.ipv4.conf.eth0.rp_filter=1
finds 1 "${COPIES}warning rp-filter port eth0;"
on lb sysctl -qw net.ipv4.conf.eth0.rp_filter=0

on fabric ethtool -K to-lb tx on >/dev/null
finds 1 "${COPIES}problem checksums port eth1;"
mend checksums >/dev/null
on client ethtool -K eth0 tx on >/dev/null
finds 1 "${COPIES}problem checksums port eth0;"
mend checksums >/dev/null
finds 0 "$COPIES"

ip -n "$(netns backend5)" link set eth0 down
wait_for 15 up_is web 0 || fail "a backend that is gone is still up"
finds 1 "${COPIES}problem next-hop endpoint 172.17.0.5:8080 of default/web;"
ip -n "$(netns backend5)" link set eth0 up
wait_for 15 up_is web 1 || fail "the backend does not come back"
finds 0 "$COPIES"

link client eth1 backend7 eth1
address client eth1 10.9.0.2/24
address backend7 eth1 10.9.0.1/24
route backend7 10.1.0.0/24 via 10.9.0.2
ask_in_vain
finds 1 "${COPIES}warning return-path endpoint 172.17.0.7:9090 of default/bypassed;"
stop_sluiced

ANNOUNCE=nosuch config "$services"
start_sluiced
wait_up web 1
finds 1 "${COPIES}problem announce virtual IP $VIP;"
finish
