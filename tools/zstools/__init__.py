# SPDX-License-Identifier: GPL-2.0-only
"""Build kernels, the module and what both need: tools for zsfuzz, usable as a library."""
