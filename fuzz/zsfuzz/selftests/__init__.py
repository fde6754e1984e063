# SPDX-License-Identifier: GPL-2.0-only
"""The kernel tree's own tests of zswap and zram, run on each design and set side by side."""
