# bash completion for sluicectl                          -*- shell-script -*-
# SPDX-License-Identifier: BSD-3-Clause

# Services as the daemon of the socket on the command line knows them.
_sluicectl_services() {
	sluicectl "$@" --timeout 2s get services 2>/dev/null | awk 'NR > 1 { print $1 "/" $2 }'
}

_sluicectl() {
	local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local options='--filename --namespace --output --socket --timeout --help --version'
	local -a words=() socket=()
	local i choices=

	COMPREPLY=()
	case $previous in
	-f | --filename | -s | --socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	-o | --output)
		mapfile -t COMPREPLY < <(compgen -W 'table json yaml' -- "$cur")
		return
		;;
	-n | --namespace | --timeout)
		return
		;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s | --socket) socket=(-s "${COMP_WORDS[++i]}") ;;
		-f | --filename | -o | --output | -n | --namespace | --timeout) ((++i)) ;;
		-*) ;;
		*) words+=("${COMP_WORDS[i]}") ;;
		esac
	done
	case "$cur ${words[*]}" in
	-*) choices=$options ;;
	*' get') choices='services endpoints workers ports' ;;
	*' describe' | *' delete') choices='service' ;;
	*' set') choices='endpoints' ;;
	*' add' | *' remove' | *' drain') choices='endpoint' ;;
	*' get service'* | *' get endpoint'* | *' describe service' | *' delete service' | *' set endpoints' | *' add endpoint' | *' remove endpoint' | *' drain endpoint')
		((${#words[@]} > 2)) || choices=$(_sluicectl_services "${socket[@]}")
		;;
	*' ' | *' help') choices='status get describe apply delete set add remove drain doctor help' ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
}

complete -F _sluicectl sluicectl
