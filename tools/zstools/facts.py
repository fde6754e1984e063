# SPDX-License-Identifier: GPL-2.0-only
"""Keep a kernel's layout header and layout.json, and read them anew when these tools change."""

from __future__ import annotations

import hashlib
from pathlib import Path

from zstools.cache import write_atomically
from zstools.header import render_header
from zstools.layout import Hints, read_layout
from zstools.progress import BuildProgress

HEADER = "zsfuzz_layout.h"
LAYOUT = "layout.json"
_KEY = "layout.key"
# What decides how the files look, besides the kernel.
_READERS = (
    "adapter", "adapterfile", "branches", "coverage", "disassembly", "discover", "discovery",
    "dwarf", "header", "layout", "lines", "owners", "prototypes", "unitnames",
)  # fmt: skip


def has_layout(entry: Path) -> bool:
    """Tell whether an entry's layout files are there, and as these tools would write them."""
    try:
        return (entry / _KEY).read_text() == _TOOLS
    except OSError:
        return False


def ensure_layout(
    entry: Path, vmlinux: Path, progress: BuildProgress, hints: Hints | None = None
) -> None:
    """Write an entry's layout files if need be; raise LayoutError if the kernel lacks a fact."""
    if has_layout(entry):
        return
    progress.begin(f"read the layout of {entry.name}")
    hints = hints or Hints()
    layout = read_layout(vmlinux, hints)
    entry.mkdir(parents=True, exist_ok=True)
    write_atomically(entry / HEADER, render_header(layout, hints.adapter))
    write_atomically(entry / LAYOUT, layout.to_json())
    write_atomically(entry / _KEY, _TOOLS)
    progress.end()


def _key() -> str:
    folder = Path(__file__).parent
    total = hashlib.sha256()
    for name in _READERS:
        total.update((folder / f"{name}.py").read_bytes())
    return total.hexdigest()


# As this process has loaded them: they may be other ones in the files by now.
_TOOLS = _key()
