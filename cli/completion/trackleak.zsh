#compdef trackleak
# Completion of `trackleak` for zsh. The command itself says what may come next.
_trackleak() {
	local line meaning tab=$'\t'
	local -a candidates
	for line in "${(@f)$(${(Q)words[1]} complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
		case $line in
		:files) _files ;;
		:commands) _command_names -e ;;
		?*) meaning=${line#*$tab} candidates+=("${${line%%$tab*}//:/\\:}${meaning:+:$meaning}") ;;
		esac
	done
	(( $#candidates )) && _describe -V trackleak candidates
}
if [[ $funcstack[1] == _trackleak ]]; then
	_trackleak "$@"
else
	compdef _trackleak trackleak
fi
