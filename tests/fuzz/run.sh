#!/bin/sh
# Runs a fuzzer:            run.sh NAME SECONDS [libFuzzer option...]
# Proves that it can find:  run.sh planted [NAME...]
# All of them:              run.sh all SECONDS
#
# What it learns goes to corpus/NAME of the build directory; crashes stay
# there too.  FUZZ_BIN names a directory of built fuzzers, else they are built.
set -eu

# To find a planted bug takes 100 to 100,000 inputs by luck, so luck gets
# several beginnings; and inputs are counted, for a machine may be slow.
attempts=20 runs=200000

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

usage() {
	sed -n '2,4s/^# //p' "$0" >&2
	exit 64
}

build() {
	if [ -n "${FUZZ_BIN:-}" ]; then
		return
	fi
	dir=${BUILD:-$root/build-fuzz}
	[ -f "$dir/build.ninja" ] || cmake -S "$root" -B "$dir" -G Ninja \
		-DFUZZERS=ON -DCMAKE_C_COMPILER=clang \
		-DCMAKE_BUILD_TYPE=Debug >/dev/null
	ninja -C "$dir" "$@" >/dev/null
	FUZZ_BIN=$dir/tests/fuzz
}

names() {
	for f in "$here"/fuzz_*.c; do
		basename "$f" .c | sed 's/^fuzz_//'
	done
}

planted_names() {
	sed -n 's/^planted(\([a-z0-9_]*\) .*/\1/p' "$here/CMakeLists.txt"
}

# fuzz BINARY NAME SECONDS [seeds or option...]
fuzz() {
	bin=$1 dict=$here/corpus/$2.dict secs=$3
	shift 3
	work=$FUZZ_BIN/corpus/$(basename "$bin")
	mkdir -p "$work"
	if [ -f "$dict" ]; then
		set -- -dict="$dict" "$@"
	fi
	"$bin" "$work" -max_total_time="$secs" \
		-max_len=65536 -timeout=5 -rss_limit_mb=1024 \
		-artifact_prefix="$work-" -print_final_stats=1 "$@"
}

# With the words, but without seeds: it is the fuzzer that must find the way.
# And what it finds must be the planted bug: the same input does nothing to the
# target without.
planted() {
	log=$FUZZ_BIN/planted_$1.log
	seed=0
	rm -rf "$FUZZ_BIN/corpus/planted_$1-"*
	: >"$log"
	while rm -rf "$FUZZ_BIN/corpus/planted_$1" && seed=$((seed + 1)) &&
		fuzz "$FUZZ_BIN/planted_$1" "$1" 0 -seed=$seed -runs=$runs \
			>>"$log" 2>&1; do
		if [ $seed -eq $attempts ]; then
			echo "planted bug of $1 not found in $attempts times" \
				"$runs inputs:" >&2
			tail -n 8 "$log" >&2
			return 1
		fi
	done
	found=$(ls "$FUZZ_BIN/corpus/planted_$1-"* 2>/dev/null) || {
		tail -n 5 "$log" >&2
		return 1
	}
	if ! "$FUZZ_BIN/fuzz_$1" "$found" >>"$log" 2>&1; then
		echo "$1 fails on $found without a planted bug" >&2
		return 1
	fi
	echo "planted bug of $1 found with seed $seed after" \
		"$(sed -n 's/^stat::number_of_executed_units: //p' "$log" |
			tail -n 1) inputs:" \
		"$(sed -n 's/^SUMMARY: //p' "$log" | head -n 1)"
}

[ $# -ge 1 ] || usage
what=$1
shift

case $what in
planted)
	[ $# -gt 0 ] || set -- $(planted_names)
	build $(printf 'planted_%s ' "$@") $(printf 'fuzz_%s ' "$@")
	for name; do
		planted "$name"
	done
	;;
all)
	[ $# -ge 1 ] || usage
	secs=$1
	shift
	build $(names | sed 's/^/fuzz_/')
	for name in $(names); do
		echo "fuzz_$name for $secs s"
		fuzz "$FUZZ_BIN/fuzz_$name" "$name" "$secs" \
			"$here/corpus/$name" "$@"
	done
	;;
*)
	[ $# -ge 1 ] && [ -f "$here/fuzz_$what.c" ] || usage
	secs=$1
	shift
	build "fuzz_$what"
	fuzz "$FUZZ_BIN/fuzz_$what" "$what" "$secs" \
		"$here/corpus/$what" "$@"
	;;
esac
