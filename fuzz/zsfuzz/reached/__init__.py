# SPDX-License-Identifier: GPL-2.0-only
"""Lines and branches that the fuzzer and the kernel's own tests reach, counted by gcov."""
