# SPDX-License-Identifier: GPL-2.0-only
"""Find compilation units by name without reading more than the name of each.

A kernel has hundreds of units, and pyelftools reads a unit's whole table of abbreviations before
its first DIE: ten seconds for what is asked of three units.  Forms: DWARF 5, section 7.5.6.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from elftools.elf.elffile import ELFFile

_AT_NAME = 0x03
_FORM_STRP, _FORM_LINE_STRP, _FORM_IMPLICIT = 0x0E, 0x1F, 0x21
# Forms that are as long in each unit of 32-bit DWARF: their bytes.
_LENGTHS = {
    0x05: 2,
    0x06: 4,
    0x07: 8,
    0x0B: 1,
    0x17: 4,
    0x19: 0,
    _FORM_IMPLICIT: 0,
    _FORM_STRP: 4,
    _FORM_LINE_STRP: 4,
}

_opened: WeakKeyDictionary[ELFFile, Any] = WeakKeyDictionary()


def dwarf_of(elf: ELFFile) -> Any:
    """Return a file's DWARF, always the same object: what it has read stays read."""
    if elf not in _opened:
        _opened[elf] = elf.get_dwarf_info()
    return _opened[elf]


def quick_name(dwarf: Any, cu: Any) -> str | None:
    """Return a unit's name by the abbreviation of its first DIE, or None if it has another form."""
    if cu.structs.dwarf_format != 32:
        return None
    stream = dwarf.debug_info_sec.stream
    stream.seek(cu.cu_die_offset)
    code, start = _uleb(stream), stream.tell()
    pairs = _abbreviation(dwarf.debug_abbrev_sec.stream, cu["debug_abbrev_offset"], code)
    stream.seek(start)
    for attribute, form in pairs:
        if attribute == _AT_NAME:
            return _string(dwarf, stream, form)
        if form not in _LENGTHS:
            return None
        stream.seek(_LENGTHS[form], 1)
    return None


def _abbreviation(stream: Any, offset: int, code: int) -> list[tuple[int, int]]:
    """Return (attribute, form) of the abbreviation with a code."""
    stream.seek(offset)
    while found := _uleb(stream):
        _uleb(stream)  # tag
        stream.read(1)  # whether there are children
        pairs = []
        while (pair := (_uleb(stream), _uleb(stream))) != (0, 0):
            if pair[1] == _FORM_IMPLICIT:
                _uleb(stream)  # the value, signed, but as long
            pairs.append(pair)
        if found == code:
            return pairs
    return []


def _string(dwarf: Any, stream: Any, form: int) -> str | None:
    if form not in {_FORM_STRP, _FORM_LINE_STRP}:
        return None
    offset = int.from_bytes(stream.read(4), "little")
    if form == _FORM_STRP:
        found: bytes = dwarf.get_string_from_table(offset)
    else:
        found = dwarf.get_string_from_linetable(offset)
    return found.decode()


def _uleb(stream: Any) -> int:
    value: int = 0
    shift = 0
    while True:
        byte: int = stream.read(1)[0]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value
