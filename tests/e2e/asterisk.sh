#!/bin/sh
# Makes Debian 11's Asterisk 16 (Debian 12 has none) in a chroot under
# .cache/, once: about 45 s and 530 MB.  Prints the folder of the chroot.
# Exit 77 (the tests' "skipped") where it cannot be had, with the reason.
#
# ASTERISK_CHROOT names a folder that is there already, DEBIAN_MIRROR a mirror.
set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
root=${ASTERISK_CHROOT:-$top/.cache/asterisk16}

say() { echo "asterisk.sh: $*" >&2; }

if [ -x "$root/usr/sbin/asterisk" ] && [ -e "$root/.complete" ]; then
	echo "$root"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	say "a chroot needs root; run this script with sudo once"
	exit 77
fi
if ! command -v debootstrap >/dev/null; then
	say "debootstrap is missing (scripts/deps test installs it)"
	exit 77
fi

# The mirror this system uses, then the public ones.
configured=$(sed -n -E \
	-e 's/^URIs: *([^ ]*\/debian)\/?( .*)?$/\1/p' \
	-e 's/^deb( \[[^]]*\])? ([^ ]*\/debian)\/? .*$/\2/p' \
	/etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
	head -n 1) || true
mkdir -p "$(dirname "$root")"
log=$root.log
for mirror in ${DEBIAN_MIRROR:-} $configured http://deb.debian.org/debian \
	http://archive.debian.org/debian; do
	say "debootstrap of bullseye from $mirror into $root (about a minute)"
	rm -rf "$root.new"
	if debootstrap --variant=minbase --include=asterisk bullseye \
		"$root.new" "$mirror" >"$log" 2>&1; then
		rm -rf "$root.new/var/cache/apt/archives" "$root"
		touch "$root.new/.complete"
		mv "$root.new" "$root"
		echo "$root"
		exit 0
	fi
	tail -n 3 "$log" >&2
done
rm -rf "$root.new"
say "no mirror gave Debian 11; the whole log is $log"
exit 77
