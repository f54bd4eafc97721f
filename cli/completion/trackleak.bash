# Completion of `trackleak` for bash. The command itself says what may come next.
_trackleak() {
	local line typed=${COMP_WORDS[COMP_CWORD]}
	[[ $typed == "=" ]] && typed=
	COMPREPLY=()
	while IFS=$'\t' read -r line _; do
		case $line in
		:files) compopt -o filenames -o default; while read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$typed") ;;
		:commands) while read -r line; do COMPREPLY+=("$line"); done < <(compgen -c -- "$typed") ;;
		*) COMPREPLY+=("$line") ;;
		esac
	done < <("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _trackleak trackleak
