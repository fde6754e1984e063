# SPDX-License-Identifier: GPL-2.0-only
"""Planted bugs: small patches over a clean design, to see that they are found."""

from __future__ import annotations

from pathlib import Path

from zsfuzz.errors import HarnessError
from zstools.paths import project_root


def planted_dir(design: str) -> Path:
    """Name the folder with the planted bugs of a design."""
    return project_root() / "tools" / "planted" / design


def planted_patch(design: str, name: str) -> Path:
    """Find a planted bug by name; HarnessError names those that there are."""
    path = planted_dir(design) / f"{name}.patch"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in planted_dir(design).glob("*.patch"))) or "none"
        raise HarnessError(f"no planted bug {name!r} for design {design}: there is {there}")
    return path
