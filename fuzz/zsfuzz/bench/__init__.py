# SPDX-License-Identifier: GPL-2.0-only
"""Benchmarks: how fast fuzzing is, and what a design costs."""
