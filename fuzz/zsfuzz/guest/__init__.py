# SPDX-License-Identifier: GPL-2.0-only
"""Guests: kernels that run programs, behind one small interface (see target.py)."""
