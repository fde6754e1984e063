# SPDX-License-Identifier: GPL-2.0-only
"""How good the fuzzer is: planted bugs, how long it takes to find each, and by which oracle."""
