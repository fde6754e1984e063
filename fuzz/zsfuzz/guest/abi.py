# SPDX-License-Identifier: GPL-2.0-only
"""The ring's layout, read from the DWARF of the module that serves it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from struct import Struct as Packer

from zsfuzz.errors import HarnessError
from zsmodel.wire import RECORDS
from zstools.wire import Wire, load_wire

_CODES = {
    (1, False): "B",
    (2, False): "H",
    (4, False): "I",
    (8, False): "Q",
    (1, True): "b",
    (2, True): "h",
    (4, True): "i",
    (8, True): "q",
}


@dataclass(frozen=True)
class Abi:
    """Where things are in the ring: `word` in units of 4 bytes, record formats for struct."""

    word: dict[str, int]  # member of struct zsfuzz_ring -> index of its 32-bit word
    constants: dict[str, int]
    compare: Packer
    program_header: Packer
    result_header: Packer

    def constant(self, name: str) -> int:
        """Look up an enumerator or macro of the header without its ZSFUZZ_ prefix."""
        return self.constants[f"ZSFUZZ_{name}"]


def read_abi(path: Path) -> Abi:
    """Read the wire.json of a module; HarnessError if that speaks another format than Python."""
    wire = load_wire(path)
    _refuse_drift(wire, path)
    ring = wire.structs["zsfuzz_ring"]
    return Abi(
        word={member.name: member.offset // 4 for member in ring.members},
        constants=wire.constants,
        compare=_packer(wire, "zsfuzz_compare"),
        program_header=_packer(wire, "zsfuzz_program_header"),
        result_header=_packer(wire, "zsfuzz_result_header"),
    )


def _codes(wire: Wire, name: str) -> tuple[tuple[str, str], ...]:
    return tuple((m.name, _CODES[m.size, m.signed]) for m in wire.structs[name].members)


def _packer(wire: Wire, name: str) -> Packer:
    return Packer("<" + "".join(code for _, code in _codes(wire, name)))


def _refuse_drift(wire: Wire, path: Path) -> None:
    for name, record in RECORDS.items():
        found = _codes(wire, name)
        expected = tuple(zip(record.fields, record.codes, strict=True))
        if found != expected:
            raise HarnessError(
                f"{path}: struct {name} is {found}, not {expected}: "
                "rebuild the module with `zsfuzz kernel build`"
            )
