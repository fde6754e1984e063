# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel's console tells: complaints, their stacks, and what a guest has died of."""
