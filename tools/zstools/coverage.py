# SPDX-License-Identifier: GPL-2.0-only
"""Find the coverage sites of mm/zsmalloc.c and the lines that they stand for.

A site is a call to __sanitizer_cov_trace_pc(), which the compiler puts at the start of each basic
block; its pc is the address after the call, as KCOV records it. The block of a site is here: the
instructions from the site to the next site, jump away or return, in order of address, within the
same function. That is an approximation: code that falls through a conditional jump without a site
of its own (KASAN's checks, say) is taken for executed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from zstools.branches import Branch, find_branches
from zstools.disassembly import Instruction, Listing, disassemble
from zstools.dwarf import Die, Unit, name_of, number, text
from zstools.errors import LayoutError
from zstools.lines import LineTable
from zstools.unitnames import dwarf_of

_SOURCE = "mm/zsmalloc.c"
_CALLBACK = "__sanitizer_cov_trace_pc"
_BOOT_ONLY = (".init.text", ".exit.text")  # gone, or never run, by the time that the module loads


@dataclass(frozen=True)
class Site:
    """A coverage site; @lines are those of mm/zsmalloc.c that its block executes."""

    pc: int
    function: str
    file: str
    line: int
    lines: tuple[int, ...]


@dataclass(frozen=True)
class Coverage:
    """Sites ascending by pc. What was left out could not be derived and is not in any total."""

    sites: tuple[Site, ...]
    lines: tuple[int, ...]
    lines_left_out: tuple[int, ...]
    branches: tuple[Branch, ...]
    branches_left_out: int


def read_coverage(elf: ELFFile, unit: Unit, vmlinux: Path) -> Coverage:
    """Read what KCOV can tell about mm/zsmalloc.c; without instrumentation there are no sites."""
    ranges = _code_ranges(elf, unit)
    listing = disassemble(vmlinux, ranges)
    calls = {p: f for p, f in sorted(_calls(unit.top, "")) if _inside(p, ranges)}
    _check_calls(calls, listing)
    table = LineTable(elf, unit, _SOURCE)
    blocks = _block_lines(listing, table, set(calls))
    every = {i for one in listing.instructions for i in _line(table, one)}
    covered = {line for lines in blocks.values() for line in lines}
    branches, left_out = find_branches(listing, table, _SOURCE, set(calls))
    return Coverage(
        sites=tuple(_site(pc, name, table, blocks) for pc, name in calls.items()),
        lines=tuple(sorted(covered)),
        lines_left_out=tuple(sorted(every - covered)),
        branches=branches,
        branches_left_out=left_out,
    )


def _calls(die: Die, function: str) -> Iterator[tuple[int, str]]:
    """Yield (pc, function) of each call to the callback, by the compiler's own records."""
    for child in die.iter_children():
        if child.tag == "DW_TAG_call_site":
            # A tail call leaves no address of its own: KCOV records its caller's.
            is_tail = "DW_AT_call_tail_call" in child.attributes
            if _callee(child) == _CALLBACK and not is_tail:
                yield number(child, "DW_AT_call_return_pc"), function
        elif child.tag == "DW_TAG_subprogram":
            yield from _calls(child, _function_name(child))
        elif child.has_children:
            yield from _calls(child, function)


def _callee(call: Die) -> str:
    if "DW_AT_call_origin" not in call.attributes:
        return ""
    origin = call.get_DIE_from_attribute("DW_AT_call_origin")
    return text(origin, "DW_AT_linkage_name") or name_of(origin)


def _function_name(die: Die) -> str:
    if "DW_AT_abstract_origin" in die.attributes:
        return _function_name(die.get_DIE_from_attribute("DW_AT_abstract_origin"))
    return name_of(die)


def _code_ranges(elf: ELFFile, unit: Unit) -> list[tuple[int, int]]:
    """Return the unit's [start, end) ranges, without code that only runs at boot."""
    boot = [s for n in _BOOT_ONLY if (s := elf.get_section_by_name(n)) is not None]
    gone = [(s["sh_addr"], s["sh_addr"] + s["sh_size"]) for s in boot]
    return [(a, b) for a, b in _unit_ranges(elf, unit) if a < b and not _inside(a, gone)]


def _unit_ranges(elf: ELFFile, unit: Unit) -> list[tuple[int, int]]:
    attributes = unit.top.attributes
    if "DW_AT_ranges" not in attributes:
        low = number(unit.top, "DW_AT_low_pc")
        return [(low, low + number(unit.top, "DW_AT_high_pc"))]
    lists: Any = dwarf_of(elf).range_lists()
    entries = lists.get_range_list_at_offset(attributes["DW_AT_ranges"].value, unit.cu)
    return [(e.begin_offset, e.end_offset) for e in entries]


def _inside(address: int, ranges: list[tuple[int, int]]) -> bool:
    return any(start <= address < end for start, end in ranges)


def _check_calls(calls: dict[int, str], listing: Listing) -> None:
    ends = {i.end for i in listing.instructions if i.mnemonic == "call"}
    stray = [pc for pc in calls if pc not in ends]
    if stray:
        raise LayoutError(f"no call ends at {stray[0]:#x}, where DWARF has a coverage site")


def _line(table: LineTable, instruction: Instruction) -> Iterator[int]:
    found = table.at(instruction.address)
    if found is not None and found[0] == _SOURCE:
        yield found[1]


def _site(pc: int, function: str, table: LineTable, blocks: dict[int, set[int]]) -> Site:
    file, line = table.at(pc) or ("", 0)
    return Site(pc, function, file, line, tuple(sorted(blocks[pc])))


def _block_lines(listing: Listing, table: LineTable, sites: set[int]) -> dict[int, set[int]]:
    """Map each site to the lines of its block; a function's opening counts for its first site."""
    blocks: dict[int, set[int]] = {pc: set() for pc in sites}
    target: set[int] = set()
    function, attributed = "", True
    for one in listing.instructions:
        if one.function != function:
            function, target, attributed = one.function, set(), True
            opening = target
        if one.is_call_to(sites):
            blocks[one.end] |= opening
            target, opening, attributed = blocks[one.end], set(), True
        # The compiler gives the calls no position: they go on with that of the block before.
        is_stray = one.is_call_to(sites) and not table.starts_at(one.address)
        if attributed and not is_stray:
            target.update(_line(table, one))
        attributed = attributed and one.falls_through
    return blocks
