# SPDX-License-Identifier: GPL-2.0-only
"""Campaigns: days of fuzzing on many cores that lose nothing and can be watched."""
