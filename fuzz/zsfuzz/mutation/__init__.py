# SPDX-License-Identifier: GPL-2.0-only
"""Programs as bytes that libFuzzer mutates, and mutations that keep them meaningful."""
