# SPDX-License-Identifier: GPL-2.0-only
"""Say that owners which a tree mentions were not built, and which options may leave them out."""

from __future__ import annotations

import re
from pathlib import Path

from zstools.kconfig import parse_config
from zstools.plan import mentions_owners

_ASKING = ("mm/zsmalloc.c", "include/linux/zsmalloc.h")
_OPTION = re.compile(r"\bCONFIG_[A-Z0-9_]+\b")


def left_out(tree: Path, config: Path) -> str:
    """Say it in a line, for a tree in whose build no owners were found; "" if it mentions none.

    @config is the .config of that build.
    """
    if not mentions_owners(tree):
        return ""
    said = "this tree's zsmalloc mentions owners (obj_cgroup), but what was built keeps none"
    off = options_off(tree, config)
    if not off:
        return f"{said} that can be found: docs/OWN-KERNEL.md says what is found, and how"
    return (
        f"{said}: it asks for {', '.join(off)}, off in .config: "
        "turn on what the owners need with --config FRAGMENT"
    )


def options_off(tree: Path, config: Path) -> list[str]:
    """Name the options that zsmalloc asks for and does not get."""
    if not config.is_file():
        return []
    have = parse_config(config.read_text())
    texts = [
        (tree / name).read_text(errors="replace") for name in _ASKING if (tree / name).is_file()
    ]
    asked = {option for text in texts for option in _OPTION.findall(text)}
    return sorted(option for option in asked if have.get(option, "n") == "n")
