# SPDX-License-Identifier: GPL-2.0-only
"""From a finding to a commit: whether a kernel still has it, and which commit brought it."""
