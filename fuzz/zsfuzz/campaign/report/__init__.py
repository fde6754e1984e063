# SPDX-License-Identifier: GPL-2.0-only
"""The report of a campaign: one page, and its coverage for lcov."""
