# SPDX-License-Identifier: GPL-2.0-only
"""Folders of programs: put together, cut down to what matters, counted, written as text."""
