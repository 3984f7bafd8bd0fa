# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# What the benchmarks that are scripts share: series of numbers, a line for the table of each (as
# measure.h describes it), rounds that are repeated where the machine changed meanwhile, testpmd.
# Source it after topology.sh; -r ROUNDS and -s SECONDS (of a measurement) are read here.

ROUNDS=5
SECONDS_EACH=3 # of one measurement
export SECONDS_EACH
while getopts r:s: option; do
	case $option in
	r) ROUNDS=$OPTARG ;;
	s) SECONDS_EACH=$OPTARG ;;
	*) die "usage: ${0##*/} [-r ROUNDS] [-s SECONDS] [ARGUMENT]..." ;;
	esac
done
shift $((OPTIND - 1))

remark() { say "# $*"; }

# series_add NAME VALUE: a number of the round that runs.
series_add() {
	[ -n "$2" ] || fail "$1: nothing was measured"
	say "$2" >>"$WORK/$1.round"
}

# row WHAT UNIT SERIES PEER PEER_SERIES AIM: with peer - there is nothing to compare with.
row() {
	local peer=$WORK/$5.series

	[ "$4" != - ] || peer=/dev/null
	awk -v what="$1" -v unit="$2" -v name="$4" -v aim="$6" '
		function numbers(a, n, i, j, t) {
			if (n == 0) return "\t-\t-\t-"
			for (i = 2; i <= n; i++)
				for (j = i; j > 1 && a[j] < a[j - 1]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
			return sprintf("\t%.5g\t%.5g\t%.5g", a[int(n / 2) + 1], a[1], a[n])
		}
		FILENAME == ARGV[1] { ours[++n] = $1 + 0; next }
		{ theirs[++m] = $1 + 0; if (m <= n && $1 > 0) ratio[++k] = ours[m] / $1 }
		END {
			a = numbers(ours, n); b = numbers(theirs, m); c = numbers(ratio, k)
			print what "\t" unit a "\t" name b c "\t" aim
		}' "$WORK/$3.series" "$peer"
}

# rounds COMMAND...: runs it ROUNDS times. Two cores may lie now near each other, now far apart (a
# virtual machine moves), which changes whatever they do together: a round during which that
# happened does not count and is run again, up to three times.
rounds() {
	local round try before after
	local -A seen=([near]=0 [far]=0 [busy]=0 [changing]=0)

	for ((round = 0; round < ROUNDS; round++)); do
		for ((try = 0; try < 3; try++)); do
			rm -f "$WORK"/*.round
			before=$(distance)
			"$@"
			after=$(distance)
			[ "$before" != "$after" ] || break
		done
		[ "$before" = "$after" ] || after=changing
		seen[$after]=$((seen[$after] + 1))
		keep_round
	done
	remark "$ROUNDS rounds. A cache line from core to core: under 200 ns in ${seen[near]}, under 1 us in" \
		"${seen[far]}, longer (other programs run) in ${seen[busy]}, now so, now so in ${seen[changing]}."
}

keep_round() {
	local file

	for file in "$WORK"/*.round; do
		cat "$file" >>"${file%.round}.series"
		rm "$file"
	done
}

distance() {
	local ns

	ns=$("$BUILD/tests/bench/tool_bounce") || ns=0 # a single core is near itself
	if [ "$ns" -lt 200 ]; then say near; elif [ "$ns" -lt 1000 ]; then say far; else say busy; fi
}
