# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the scripts share. Source it under `set -euo pipefail`, then call `begin NAME` before
# anything that has to be undone: network namespaces, processes and files are named after NAME and
# the process, and an EXIT trap takes them away in reverse order, also on INT and TERM.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$(realpath -m "${BUILD:-$ROOT/build}")
export PYTHON=/usr/bin/python3 # Debian's own, whatever else stands in PATH

# --- words, packages, building ---------------------------------------------------------------

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() {
	warn "${0##*/}: $*"
	exit 1
}

need_root() {
	[ "$EUID" -eq 0 ] || die "needs root, for network namespaces and XDP: sudo $0"
}

# The packages of the groups named, from scripts/packages.
packages_of() {
	awk -v groups=" $* " '/^[a-z]/ && index(groups, " " $1 " ") { print $2 }' \
		"$ROOT/scripts/packages"
}

missing_packages() {
	local package

	for package in $(packages_of "$@"); do
		[[ $(dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null) == installed* ]] ||
			say "$package"
	done
}

# Installs what is missing of the groups named, and touches nothing else.
install_packages() {
	local missing log

	command -v dpkg-query >/dev/null ||
		die "no dpkg here: install what scripts/packages names by hand"
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	need_root
	say "installing ${missing[*]}"
	log=$(mktemp)
	if ! { DEBIAN_FRONTEND=noninteractive apt-get update &&
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
			"${missing[@]}"; } </dev/null >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		die "apt-get could not install ${missing[*]} (network? /etc/apt/sources.list?)"
	fi
	rm -f "$log"
}

# build DIR [MESON OPTION]...: quiet unless it fails. Options other than last time reconfigure.
build() {
	local dir=$1 log=$1.log wanted

	shift
	wanted=$(printf '%s\n' "CC=${CC-}" "$@")
	if [ ! -f "$dir/build.ninja" ] || [ "$wanted" != "$(cat "$dir/.options" 2>/dev/null)" ]; then
		if [ -d "$dir/meson-private" ]; then rm -rf "$dir"; fi
		meson setup "$dir" "$ROOT" "$@" >"$log" 2>&1 || {
			build_failed "$log"
			return 1
		}
		say "$wanted" >"$dir/.options"
	fi
	ninja -C "$dir" >"$log" 2>&1 || {
		build_failed "$log"
		return 1
	}
	rm -f "$log"
}

build_failed() {
	grep -E -A 15 '^FAILED|error:|ERROR' "$1" | head -n 60 >&2 || tail -n 40 "$1" >&2
	warn "the whole log: $1"
	return 1
}

# The path of a program, wherever the build put it.
program() {
	local path

	path=$(find "$BUILD" -name "$1" -type f -perm -u+x -print -quit 2>/dev/null)
	[ -n "$path" ] || die "no $1 in $BUILD: build first"
	say "$path"
}

# --- undoing ---------------------------------------------------------------------------------

UNDO=()

# begin NAME [fixed]: from here on everything has a place and an end. fixed: the same names every
# time, so that another run can find (and remove) what this one left.
begin() {
	need_root
	if [ "${2-}" = fixed ]; then
		RUN=sluice-$1
	else
		RUN=${RUN_PREFIX:-sluice}-$1-$$
	fi
	WORK=/tmp/$RUN         # files, kept when it fails
	RUNTIME=/dev/shm/$RUN  # as /run: the socket, and the flow table, which wants a tmpfs
	SOCKET=$RUNTIME/sluice.sock
	mkdir -m 700 "$WORK" "$RUNTIME"
	set -E
	trap 'FAILED_AT="${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND"' ERR
	trap unwind EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

undo() { UNDO+=("$(printf '%q ' "$@")"); }

unwind() {
	local status=$? failed=1 i

	case $status in 0 | 77) failed= ;; esac # 77: it cannot run here
	trap - EXIT ERR
	trap '' INT TERM
	set +e
	[ -z "$failed" ] || on_failure "$status"
	if [ -n "$failed" ] && [ -n "${KEEP-}" ]; then
		warn "all of it left standing: ip netns | grep $RUN"
		exit "$status"
	fi
	for ((i = ${#UNDO[@]} - 1; i >= 0; i--)); do
		eval "${UNDO[i]}"
	done
	rm -rf "$RUNTIME"
	if [ -z "$failed" ]; then
		rm -rf "$WORK"
	else
		rm -rf "$WORK/www"
		warn "artefacts: $WORK"
	fi
	exit "$status"
}

# Replace it to say more than this.
on_failure() {
	warn "failed (exit $1)${FAILED_AT:+ at $FAILED_AT}"
}

fail() {
	warn "FAILED: $*"
	FAILED_AT="${BASH_SOURCE[-1]##*/}:${BASH_LINENO[-2]}" # the script's line, not the helper's
	exit 1
}

# expect WHAT ACTUAL WANTED
expect() {
	[ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"
}

# wait_for SECONDS COMMAND...: until the command succeeds, asked every 25 ms.
wait_for() {
	local seconds=$1 end

	shift
	end=$((${EPOCHREALTIME/[^0-9]/} + seconds * 1000000))
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/[^0-9]/}" -lt "$end" ] || return 1
		sleep 0.025
	done
}

# --- processes -------------------------------------------------------------------------------

declare -A PIDS=() EXITS=()

# spawn NAME HOST COMMAND...: in the background, in the host's namespace, output in
# $WORK/NAME.log. `ip netns exec` becomes the command, so the pid is the command's own.
spawn() {
	local name=$1 host=$2

	shift 2
	ip netns exec "$(netns "$host")" "$@" </dev/null >>"$WORK/$name.log" 2>&1 &
	PIDS[$name]=$!
	unset "EXITS[$name]"
	undo stop "$name"
}

alive() { [ -n "${PIDS[$1]-}" ] && kill -0 "${PIDS[$1]}" 2>/dev/null; }
gone() { ! alive "$1"; }

# stop NAME [SIGNAL]: ends it (after 5 s for good) and leaves its exit status in EXITS[NAME].
stop() {
	local name=$1 signal=${2:-TERM}

	[ -n "${PIDS[$name]-}" ] || return 0
	kill -s "$signal" "${PIDS[$name]}" 2>/dev/null || true
	if ! wait_for 5 gone "$name"; then
		warn "$name (pid ${PIDS[$name]}) ignored $signal for 5 s"
		kill -s KILL "${PIDS[$name]}" 2>/dev/null || true
	fi
	reap "$name"
}

# Waits for the process to end by itself.
reap() {
	EXITS[$1]=0
	wait "${PIDS[$1]}" 2>/dev/null || EXITS[$1]=$?
	unset "PIDS[$1]"
}

# --- namespaces: a host, a link, a switch ----------------------------------------------------

netns() { say "$RUN-$1"; }
on() {
	local host=$1

	shift
	ip netns exec "$(netns "$host")" "$@"
}

# host NAME...: a network namespace each, loopback up, IPv6 addresses usable at once, no
# neighbour or router solicitation of its own where it can be helped.
host() {
	local name

	for name; do
		ip netns add "$(netns "$name")"
		undo remove_host "$name"
		on "$name" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.accept_ra=0 \
			net.ipv6.conf.default.router_solicitations=0 net.ipv6.conf.all.accept_dad=0
		ip -n "$(netns "$name")" link set lo up
	done
}

remove_host() {
	local pids

	# Whatever a test left in a namespace of its own is its own.
	pids=$(ip netns pids "$(netns "$1")" 2>/dev/null | tr '\n' ' ')
	# shellcheck disable=SC2086 # a list of numbers
	[ -z "${pids// /}" ] || kill -s KILL $pids 2>/dev/null
	ip netns del "$(netns "$1")" 2>/dev/null
}

# link HOST IFACE HOST IFACE [VETH OPTION]...: a cable. Checksums are finished by whoever sends:
# AF_XDP at the other end would get them as they are.
link() {
	local a=$1 a_iface=$2 b=$3 b_iface=$4

	shift 4
	ip link add "$a_iface" netns "$(netns "$a")" "$@" type veth \
		peer name "$b_iface" netns "$(netns "$b")" "$@"
	on "$a" ethtool -K "$a_iface" tx off >/dev/null
	on "$b" ethtool -K "$b_iface" tx off >/dev/null
	ip -n "$(netns "$a")" link set "$a_iface" up
	ip -n "$(netns "$b")" link set "$b_iface" up
}

# switch NAME: a bridge in a namespace of its own. plug HOST IFACE SWITCH [VETH OPTION]...
switch() {
	host "$1"
	ip -n "$(netns "$1")" link add br0 type bridge forward_delay 0 mcast_snooping 0
	ip -n "$(netns "$1")" link set br0 up
}

plug() {
	local name=$1 iface=$2 switch=$3

	shift 3
	link "$name" "$iface" "$switch" "to-$name" "$@"
	ip -n "$(netns "$switch")" link set "to-$name" master br0
}

# address HOST IFACE ADDRESS/LENGTH...
address() {
	local name=$1 iface=$2 a

	shift 2
	for a; do
		ip -n "$(netns "$name")" address add "$a" dev "$iface"
	done
}

# route HOST ROUTE...
route() {
	local name=$1

	shift
	ip -n "$(netns "$name")" route add "$@"
}

mac_of() { ip -n "$(netns "$1")" -j link show dev "$2" | jq -r '.[0].address'; }

# --- sluiced ---------------------------------------------------------------------------------

LB=lb # the host it runs on
METRICS_PORT=9690

# start_sluiced [CONFIG [ARGUMENT]...]: returns when it is ready, fails when it ends or isn't in 15 s.
start_sluiced() {
	launch_sluiced "$@"
	wait_for 15 sluiced_settled || true
	alive sluiced || fail "sluiced ended at start: $(tail -n 3 "$WORK/sluiced.log")"
	sluiced_ready || fail "sluiced is not ready after 15 s: $(readyz_answer)"
}

# The same without waiting, for starts that are meant to fail.
launch_sluiced() {
	local config=${1:-$WORK/sluice.yaml} binary

	shift || true
	binary=$(program sluiced)
	spawn sluiced "$LB" "$binary" -c "$config" "$@"
}

readyz_answer() {
	on "$LB" curl -sS --max-time 2 "http://127.0.0.1:$METRICS_PORT/readyz" 2>&1 || true
}

sluiced_ready() {
	on "$LB" curl -sf --max-time 2 "http://127.0.0.1:$METRICS_PORT/readyz"
} >/dev/null 2>&1

sluiced_settled() { gone sluiced || sluiced_ready; }

stop_sluiced() {
	alive sluiced || fail "sluiced is not running"
	assert_conserved
	stop sluiced TERM
	expect "exit status of a stopped sluiced" "${EXITS[sluiced]}" 0
	assert_clean_log
}

kill_sluiced() {
	stop sluiced KILL
}

reload_sluiced() { kill -s HUP "${PIDS[sluiced]}"; }

# ctl ARGUMENT...: sluicectl to this test's daemon.
ctl() { "${SLUICECTL:=$(program sluicectl)}" -s "$SOCKET" "$@"; }

# api METHOD PATH [BODY [CONTENT TYPE]]: the answer's body; its status in $WORK/api.status; fails
# unless that is 2xx.
api() {
	local method=$1 path=$2 body=${3-} type=${4:-application/json} status
	local arguments=(-sS --max-time 20 --unix-socket "$SOCKET" -X "$method"
		-o "$WORK/api.body" -w '%{http_code}')

	[ -z "$body" ] || arguments+=(-H "Content-Type: $type" --data-binary "$body")
	status=$(curl "${arguments[@]}" "http://sluice$path") || status=000
	say "$status" >"$WORK/api.status"
	cat "$WORK/api.body"
	if [[ $status != 2* ]]; then
		warn "$method $path: $status"
		return 1
	fi
}

metrics_text() {
	on "$LB" curl -sS --max-time 5 "http://127.0.0.1:$METRICS_PORT/metrics"
}

# sum_of NAME [LABEL=VALUE]... <METRICS: the sum over all series that have these labels.
sum_of() {
	awk -v name="$1" -v labels="${*:2}" '
		BEGIN { count = split(labels, want, " ") }
		/^#/ { next }
		{
			series = $0; sub(/[{ ].*/, "", series)
			if (series != name) next
			for (i = 1; i <= count; i++) {
				split(want[i], pair, "=")
				value = substr(want[i], length(pair[1]) + 2)
				if (index($0, pair[1] "=\"" value "\"") == 0) next
			}
			total += $NF
		}
		END { printf "%.0f\n", total }'
}

# metrics NAME [LABEL=VALUE]...: the same, asked of the daemon.
metrics() { metrics_text | sum_of "$@"; }

# "received split transmitted passed dropped"
packet_balance() {
	local text

	text=$(metrics_text)
	say "$(sum_of sluice_port_receive_packets_total <<<"$text")" \
		"$(sum_of sluice_split_packets_total <<<"$text")" \
		"$(sum_of sluice_port_transmit_packets_total <<<"$text")" \
		"$(sum_of sluice_passed_packets_total <<<"$text")" \
		"$(sum_of sluice_dropped_packets_total <<<"$text")"
}

# Promise 4: once nothing moves any more, every packet that came in, or was made of one by cutting,
# is accounted for.
assert_conserved() {
	local before='' now='' i rx split tx passed dropped

	for ((i = 0; i < 50; i++)); do
		now=$(packet_balance)
		[ "$now" != "$before" ] || break
		before=$now
		sleep 0.1
	done
	[ "$now" = "$before" ] || fail "the counters never came to rest: $now"
	read -r rx split tx passed dropped <<<"$now"
	[ $((rx + split)) -eq $((tx + passed + dropped)) ] ||
		fail "packets: received $rx + split $split, but transmitted $tx + passed $passed + dropped $dropped" \
			"= $((tx + passed + dropped))"
}

assert_clean_log() {
	if grep -E -m 3 'Sanitizer|runtime error:|PANIC|Assertion' "$WORK/sluiced.log" >&2; then
		fail "sluiced's log says so (above)"
	fi
}

assert_no_crash() {
	alive sluiced || [ "${EXITS[sluiced]-0}" -eq 0 ] ||
		fail "sluiced ended with ${EXITS[sluiced]}"
	assert_clean_log
}

# What one wants to see when something went wrong.
sluiced_report() {
	if [ -s "$WORK/sluiced.log" ]; then
		warn "--- sluiced.log, the end"
		tail -n 30 "$WORK/sluiced.log" >&2
	fi
	ip netns pids "$(netns "$LB")" >/dev/null 2>&1 || return 0
	if metrics_text >"$WORK/metrics.txt" 2>/dev/null; then
		warn "--- metrics: packets"
		grep -E '^sluice_(port_.*packets|split|passed|dropped|endpoint_(up|packets))' "$WORK/metrics.txt" |
			grep -v ' 0$' >&2
	fi
	{
		ip -n "$(netns "$LB")" address
		ip -n "$(netns "$LB")" route
		ip -n "$(netns "$LB")" -6 route
		ip -n "$(netns "$LB")" neighbour
	} >"$WORK/network.txt" 2>&1
	warn "--- neighbours of the load balancer"
	ip -n "$(netns "$LB")" neighbour >&2
	warn "look closer: KEEP=1 $0 leaves it all standing; then e.g." \
		"ip netns exec $(netns client) tcpdump -ni eth0"
}
