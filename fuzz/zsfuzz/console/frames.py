# SPDX-License-Identifier: GPL-2.0-only
"""Where in the source the frames of a kernel's stack are, by the DWARF of that kernel."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from zstools.paths import cache_dir
from zstools.symbols import Symbols

_FRAME = re.compile(
    r"(?P<name>[A-Za-z_][\w.]*)\+0x(?P<offset>[0-9a-f]+)/0x[0-9a-f]+(?P<module> \[\w+\])?"
)
_EXACT = re.compile(r"\bRIP: |\bBUG: KASAN: |\bWARNING: ")


class Places(Protocol):
    """Where functions and instructions are in the source; "" for what is not known."""

    def function(self, name: str) -> str:
        """Find a function's definition, as "mm/zsmalloc.c:1544"."""

    def frame(self, name: str, offset: int) -> str:
        """Find the line of an instruction, `offset` bytes into a function."""


class NoPlaces:
    """For kernels that are not in the cache: nothing is known."""

    def function(self, _name: str) -> str:
        """Know nothing."""
        return ""

    def frame(self, _name: str, _offset: int) -> str:
        """Know nothing."""
        return ""


class BuiltPlaces:
    """Places in a vmlinux of the cache."""

    def __init__(self, vmlinux: Path) -> None:
        self._symbols = Symbols(vmlinux)

    def function(self, name: str) -> str:
        """Find a function's definition."""
        return self._symbols.function(name) or ""

    def frame(self, name: str, offset: int) -> str:
        """Find the line of an instruction."""
        return self._symbols.frame(name, offset) or ""


def places_of(manifest: Mapping[str, Any]) -> Places:
    """Find the places of the kernel that a finding's manifest names, if it is still built."""
    build = manifest.get("build")
    vmlinux = cache_dir() / str(build) / "vmlinux"
    return _built(vmlinux) if build and vmlinux.is_file() else NoPlaces()


@lru_cache(maxsize=4)
def _built(vmlinux: Path) -> BuiltPlaces:
    return BuiltPlaces(vmlinux)


@dataclass(frozen=True)
class Frame:
    """One frame of a stack: which line of the complaint it is in, and where it is in the source."""

    line: int
    function: str
    place: str


def frames_of(lines: Iterable[str], places: Places) -> Iterator[Frame]:
    """Find the frames in a complaint's lines; one in a module has no place."""
    for number, line in enumerate(lines):
        match = _FRAME.search(line)
        if match is None:
            continue
        place = ""
        if not match["module"]:
            # What a call returns to may be the next line already: look at the call itself.
            offset = int(match["offset"], 16)
            returns = offset > 0 and not _EXACT.search(line)
            place = places.frame(match["name"], offset - returns)
        yield Frame(number, match["name"], place)
