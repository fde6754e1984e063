#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# An example for a kernel tree: replay the corpus on the tree that is to be
# tested, for `git bisect run`, a patch queue, or a CI job that reads KTAP.
#
#	docs/ci/kernel-tree.sh ~/linux > zsfuzz.ktap
#	git bisect run ~/zsfuzz/docs/ci/kernel-tree.sh ~/linux
#
# The tree needs Linux 7.2's zsmalloc; it is copied, never changed.  DESIGN=stock
# tests it as it is, without the series of owners.  The exit code is that of
# zsfuzz replay (0 good, 1 bad), but 125, which git takes for "skip this commit",
# where nothing can be said: it does not build, or the harness failed.
set -u

linux=${1:-$PWD}
zsfuzz=$(cd "$(dirname "$0")/../.." && pwd)

make -s -C "$zsfuzz" setup >&2 || exit 125
"$zsfuzz/.venv/bin/zsfuzz" replay "$zsfuzz/corpus" --linux "$linux" \
	--design "${DESIGN:-zspage}" --flavour "${FLAVOUR:-kasan}" --format ktap
code=$?
[ $code -le 1 ] || exit 125
exit $code
