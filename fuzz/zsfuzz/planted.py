# SPDX-License-Identifier: GPL-2.0-only
"""Planted bugs: small patches over a clean design, to see that they are found."""

from __future__ import annotations

from pathlib import Path

from zsfuzz.errors import HarnessError
from zstools.paths import project_root


def planted_root() -> Path:
    """Name the folder that has one of planted bugs for each design, and one for all."""
    return project_root() / "tools" / "planted"


def planted_dirs(design: str) -> tuple[Path, Path]:
    """Name the folders with the planted bugs of a design: its own, and that of all designs."""
    return planted_root() / design, planted_root() / "both"


def planted_patch(design: str, name: str) -> Path:
    """Find a planted bug by name; HarnessError names those that there are."""
    patches = {p.stem: p for folder in planted_dirs(design) for p in folder.glob("*.patch")}
    if name not in patches:
        there = ", ".join(sorted(patches)) or "none"
        raise HarnessError(f"no planted bug {name!r} for design {design}: there is {there}")
    return patches[name]
