# SPDX-License-Identifier: GPL-2.0-only
"""Ask a kernel in what it differs lawfully from the model's defaults."""
