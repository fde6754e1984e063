# SPDX-License-Identifier: GPL-2.0-only
"""Map code addresses to source lines by the DWARF line program."""

from __future__ import annotations

import posixpath
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from elftools.elf.elffile import ELFFile

from zstools.dwarf import Unit
from zstools.unitnames import dwarf_of


class LineTable:
    """Source positions of one unit; file names are relative to the kernel tree."""

    def __init__(self, elf: ELFFile, unit: Unit, source: str) -> None:
        dwarf: Any = dwarf_of(elf)
        self._program = dwarf.line_program_for_CU(unit.cu)
        self._root = unit.name.removesuffix(source)
        self._names = [self._file_name(entry) for entry in self._program["file_entry"]]
        self._first_file = 0 if self._program["version"] >= 5 else 1
        rows = sorted(self._ranges())
        self._starts = [start for start, _end, _file, _line in rows]
        self._rows = rows

    def at(self, address: int) -> tuple[str, int] | None:
        """Return (file, line) of the instruction at @address, or None."""
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        _start, end, name, line = self._rows[index]
        return (name, line) if address < end and line else None

    def starts_at(self, address: int) -> bool:
        """Tell whether another line begins at @address than that of the code before it."""
        return self.at(address) != self.at(address - 1)

    def _ranges(self) -> Iterator[tuple[int, int, str, int]]:
        previous = None
        for entry in self._program.get_entries():
            state = entry.state
            if state is None:
                continue
            if previous is not None and state.address > previous.address:
                name = self._names[previous.file - self._first_file]
                yield previous.address, state.address, name, previous.line
            previous = None if state.end_sequence else state

    def _file_name(self, entry: Any) -> str:
        name: str = entry.name.decode()
        directories = self._program["include_directory"]
        if self._program["version"] >= 5:
            directory: str = directories[entry.dir_index].decode()
        else:
            directory = directories[entry.dir_index - 1].decode() if entry.dir_index else ""
        path = posixpath.join(directory, name)
        inside = path.removeprefix(self._root) if self._root else path
        return posixpath.normpath(inside)
