# SPDX-License-Identifier: GPL-2.0-only
"""Fuzz the kernel's zsmalloc against an exact reference model."""

__version__ = "0.1.0"
