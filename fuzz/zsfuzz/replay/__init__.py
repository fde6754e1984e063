# SPDX-License-Identifier: GPL-2.0-only
"""Run saved programs again, thousands a second, and say how each ends."""
