# SPDX-License-Identifier: GPL-2.0-only
"""Stand-alone reproducers: one file that performs a program and checks the expected answers."""
