# What the scripts of this folder share; sourced, POSIX sh.
# shellcheck shell=sh

top=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:/usr/sbin:/sbin
export PATH

say() { printf '%s\n' "$*" >&2; }

die() {
	say "$(basename "$0"): $*"
	exit 1
}

# quietly WHAT COMMAND...: one line of progress, the output only on failure.
quietly() {
	what=$1
	shift
	log=$(mktemp)
	begin=$(date +%s)
	printf '%s ... ' "$what" >&2
	if "$@" >"$log" 2>&1; then
		printf 'done (%s s)\n' $(($(date +%s) - begin)) >&2
		rm -f "$log"
	else
		printf 'FAILED\n' >&2
		tail -n 60 "$log" >&2
		rm -f "$log"
		return 1
	fi
}

# configure DIR CMAKE-OPTION...: only where the folder has none yet.
configure() {
	dir=$1
	shift
	[ -f "$dir/build.ninja" ] && return
	quietly "configuring $(basename "$dir")" \
		cmake -S "$top" -B "$dir" -G Ninja "$@"
}

# compile DIR [TARGET...]: with ninja's own progress on a terminal.
compile() {
	dir=$1
	shift
	if ninja -C "$dir" -n "$@" 2>/dev/null | grep -q 'no work to do'; then
		return
	fi
	if [ -t 2 ]; then
		say "building $(basename "$dir")"
		ninja -C "$dir" "$@" >&2
	else
		quietly "building $(basename "$dir")" ninja -C "$dir" "$@"
	fi
}
