# SPDX-License-Identifier: GPL-2.0-only
"""Why a kernel has no swap path: without a reason, operations that are refused look like tested."""

from __future__ import annotations

import json
from pathlib import Path


def why_no_swap(layout: Path) -> str:
    """Give the reason for a guest without HAS_SWAP; `layout` is the kernel's layout.json."""
    return missing_for_swap(layout) or "the guest could not set it up: its console says why"


def missing_for_swap(layout: Path) -> str:
    """Tell what of the swap path a kernel was built without, "" if nothing."""
    missing: str = json.loads(layout.read_text())["no_swap"]
    return missing
