#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-only
# Init of a guest that runs one program of the kernel's own tests: $1 is its directory below
# tools/testing/selftests, $2 its name.  What it prints goes to the control line (/dev/ttyS0),
# between lines that say where it begins and with which status it ended.
export PATH=/bin HOME=/tmp

say() {
	echo "zsfuzz-selftests: $*" >/dev/ttyS0
}

die() {
	say "failed: $*"
	poweroff -f
}

/bin/busybox mount -t devtmpfs dev /dev
mount -t proc proc /proc || die "cannot mount /proc"
mount -t sysfs sysfs /sys || die "cannot mount /sys"
mount -t debugfs debugfs /sys/kernel/debug || die "cannot mount debugfs"
mount -t cgroup2 cgroup2 /sys/fs/cgroup || die "cannot mount the cgroup filesystem"
mount -t tmpfs tmpfs /tmp || die "cannot mount /tmp"

# The disk to swap to, with zswap in front of it.
mkswap /dev/ubda >/dev/null || die "cannot make a swap area on /dev/ubda"
swapon /dev/ubda || die "cannot swap to /dev/ubda"

# The scripts write where they are.
cp -r "/selftests/$1" /tmp/ && cd "/tmp/$1" || die "no tests in $1"
[ -x "$2" ] || die "no program $1/$2"

say begin
"./$2" </dev/null >/dev/ttyS0 2>&1
status=$?
echo >/dev/ttyS0	# so that the next line is one, whatever was printed last
say "end $status"
# The host may look at what the kernel counted; then it ends the guest.
read -r _ </dev/ttyS0
poweroff -f
