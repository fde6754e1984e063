# SPDX-License-Identifier: GPL-2.0-only
"""Find the source lines of functions and of stack frames, by the DWARF of a built kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import Any

from elftools.common.exceptions import DWARFError, ELFError, ELFParseError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from zstools.dwarf import Die, Unit, name_of, number, open_elf
from zstools.errors import LayoutError
from zstools.lines import LineTable
from zstools.unitnames import dwarf_of

# What lives in the file of one of these is found even if the compiler has inlined it everywhere:
# mm/zsmalloc.c, mm/memcontrol.c, mm/zswap.c, mm/compaction.c, drivers/block/zram/zram_drv.c.
_HOMES = ("zs_malloc", "memcg_page_state", "zswap_store", "kcompactd_run", "zram_submit_bio")


class Symbols:
    """Source places in one vmlinux, as "mm/zsmalloc.c:1623"; None for what it does not know.

    The file is read when something is asked for first, and then kept open.
    """

    def __init__(self, vmlinux: Path) -> None:
        self._path = vmlinux
        self._kernel: _Kernel | None = None
        self._broken = False

    def function(self, name: str) -> str | None:
        """Find where a function is defined."""
        return self._ask(lambda kernel: kernel.function(name))

    def frame(self, name: str, offset: int) -> str | None:
        """Find the line of the instruction at NAME+OFFSET, offset in bytes."""
        return self._ask(lambda kernel: kernel.frame(name, offset))

    def _ask(self, question: Callable[[_Kernel], str | None]) -> str | None:
        # A report without lines is better than none.
        if self._broken:
            return None
        try:
            self._kernel = self._kernel or _Kernel(self._path)
            return question(self._kernel)
        except (LayoutError, DWARFError, ELFError, ELFParseError, OSError):
            self._broken = True
            return None


class _Kernel:
    """The parts of an open vmlinux that were asked for so far."""

    def __init__(self, vmlinux: Path) -> None:
        self._files = ExitStack()  # closed with this object
        self._elf: ELFFile = self._files.enter_context(open_elf(vmlinux))
        self._dwarf: Any = dwarf_of(self._elf)
        self._aranges = self._dwarf.get_aranges()
        self._symbols = _functions(self._elf)
        self._units: dict[int, tuple[Unit, LineTable]] = {}

    def frame(self, name: str, offset: int) -> str | None:
        address = self._symbols.get(name)
        found = None if address is None else self._unit(address)
        if address is None or found is None:
            return None
        unit, table = found
        line = _line_in(self._dwarf, unit, address, address + offset)
        place = (_source(unit), line) if line else table.at(address + offset)
        return f"{place[0]}:{place[1]}" if place else None

    def function(self, name: str) -> str | None:
        if name in self._symbols:
            here = [self._unit(self._symbols[name])]
        else:
            here = [self._unit(self._symbols.get(home, 0)) for home in _HOMES]
        for unit in here:
            line = _declared(self._dwarf, unit[0], name) if unit else 0
            if unit and line:
                return f"{_source(unit[0])}:{line}"
        return None

    def _unit(self, address: int) -> tuple[Unit, LineTable] | None:
        offset = self._aranges.cu_offset_at_addr(address) if self._aranges else None
        if offset is None:
            return None
        if offset not in self._units:
            unit = Unit(self._dwarf.get_CU_at(offset))
            self._units[offset] = unit, LineTable(self._elf, unit, _source(unit))
        return self._units[offset]


def _functions(elf: ELFFile) -> dict[str, int]:
    table = elf.get_section_by_name(".symtab")
    symbols = table.iter_symbols() if isinstance(table, SymbolTableSection) else ()
    return {s.name: s["st_value"] for s in symbols if s["st_info"]["type"] == "STT_FUNC"}


def _source(unit: Unit) -> str:
    # The object directory is a folder of the tree.
    return unit.name.removeprefix("../")


def _declared(dwarf: Any, unit: Unit, name: str) -> int:
    """Return the line of a function of the unit's own file; 0 if it is not there."""
    for die in unit.top.iter_children():
        if die.tag == "DW_TAG_subprogram" and name_of(die) == name:
            files = dwarf.line_program_for_CU(unit.cu)["file_entry"]
            file = files[number(die, "DW_AT_decl_file")].name.decode()
            if PurePath(file).name == PurePath(unit.name).name:
                return number(die, "DW_AT_decl_line")
    return 0


def _line_in(dwarf: Any, unit: Unit, start: int, address: int) -> int:
    """Return the line of the function itself that an instruction of an inlined one belongs to."""
    for die in unit.top.iter_children():
        if die.tag == "DW_TAG_subprogram" and _covers(dwarf, unit, die, start):
            call = _outermost(dwarf, unit, die, address)
            return number(call, "DW_AT_call_line") if call is not None else 0
    return 0


def _outermost(dwarf: Any, unit: Unit, die: Die, address: int) -> Die | None:
    for child in die.iter_children():
        if child.tag == "DW_TAG_inlined_subroutine" and _covers(dwarf, unit, child, address):
            return child
        if child.tag == "DW_TAG_lexical_block" and _covers(dwarf, unit, child, address):
            return _outermost(dwarf, unit, child, address)
    return None


def _covers(dwarf: Any, unit: Unit, die: Die, address: int) -> bool:
    if "DW_AT_ranges" in die.attributes:
        where = die.attributes["DW_AT_ranges"].value
        entries = dwarf.range_lists().get_range_list_at_offset(where, unit.cu)
        return any(low <= address < high for low, high in _absolute(entries, unit))
    low = number(die, "DW_AT_low_pc", -1)
    return low >= 0 and low <= address < low + number(die, "DW_AT_high_pc")


def _absolute(entries: Any, unit: Unit) -> Iterator[tuple[int, int]]:
    base = number(unit.top, "DW_AT_low_pc")
    for entry in entries:
        if hasattr(entry, "base_address"):
            base = entry.base_address
        else:
            add = 0 if entry.is_absolute else base
            yield entry.begin_offset + add, entry.end_offset + add
