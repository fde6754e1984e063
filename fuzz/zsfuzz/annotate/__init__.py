# SPDX-License-Identifier: GPL-2.0-only
"""How often each line and branch of mm/zsmalloc.c was executed: as data, for lcov, for a page."""
