# SPDX-License-Identifier: BSD-3-Clause
#
# The benchmarks' lines (measure.h) as tables in markdown, one for each "= TITLE".

function range(at) {
	if ($at == "-") return ""
	return $at == $(at + 1) && $at == $(at + 2) ? $at : $at " (" $(at + 1) "–" $(at + 2) ")"
}

# Whether what is aimed at was reached: "ratio<=1.1", "value>=10".
function reached(aim, value, limit) {
	value = aim ~ /^ratio/ ? $10 : $3
	limit = aim
	sub(/^[a-z]*[<>]=/, "", limit)
	return aim ~ /<=/ ? value + 0 <= limit + 0 : value + 0 >= limit + 0
}

BEGIN { FS = "\t" }
/^= / {
	printf "\n### %s\n", substr($0, 3)
	table = 0
	next
}
/^# / {
	printf "\n%s\n", substr($0, 3)
	table = 0
	next
}
NF >= 13 {
	if (!table) {
		print "\n| what | unit | sluice | next to | it | ratio | aim | |"
		print "|---|---|---|---|---|---|---|---|"
	}
	table = 1
	aim = $13
	mark = aim == "-" ? "" : reached(aim) ? "yes" : "no"
	sub(/<=/, " ≤ ", aim)
	sub(/>=/, " ≥ ", aim)
	printf "| %s | %s | %s | %s | %s | %s | %s | %s |\n", $1, $2, range(3), $6 == "-" ? "" : $6, range(7),
		range(10), aim == "-" ? "" : aim, mark
}
