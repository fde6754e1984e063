# SPDX-License-Identifier: GPL-2.0-only
"""From trouble to a saved finding: title, verdict, duplicates."""
