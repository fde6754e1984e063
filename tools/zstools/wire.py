# SPDX-License-Identifier: GPL-2.0-only
"""Read the wire format from the module's own DWARF, so that C and Python cannot drift apart."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zstools.dwarf import Member, Struct, Unit, name_of, open_elf
from zstools.errors import WireError

_STRUCT_PREFIX = "zsfuzz_"
_CONSTANT_PREFIX = "ZSFUZZ_"
# kmod/wire.c repeats macros as enumerators of this name, since DWARF has no macros.
_MACRO_PREFIX = "ZSFUZZ_WIRE_"


@dataclass(frozen=True)
class Wire:
    """The wire structures by name, and all enumerators and numeric macros of the ABI header."""

    structs: dict[str, Struct]
    constants: dict[str, int]


def save_wire(wire: Wire, path: Path) -> None:
    """Write as JSON, since reading DWARF takes seconds."""
    path.write_text(json.dumps(asdict(wire), indent=1))


def load_wire(path: Path) -> Wire:
    """Read what save_wire() wrote; raise WireError if it is something else."""
    try:
        raw = json.loads(path.read_text())
        structs = {name: _struct(facts) for name, facts in raw["structs"].items()}
        return Wire(structs, raw["constants"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WireError(f"cannot read {path} ({error}): run `zsfuzz kernel build` again") from error


def read_module_structs(ko: Path) -> Wire:
    """Read struct zsfuzz_* and ZSFUZZ_* from a module built with -g.

    Offsets and sizes are in bytes. Raises WireError if two objects of the module disagree or if
    there is none, LayoutError if the file is no ELF file with DWARF.
    """
    structs: dict[str, Struct] = {}
    constants: dict[str, int] = {}
    with open_elf(ko) as elf:
        for cu in elf.get_dwarf_info().iter_CUs():
            unit = Unit(cu)
            _merge(structs, {s.name: s for s in unit.structs(_STRUCT_PREFIX)}, unit)
            _merge(constants, _constants(unit), unit)
    if not structs:
        raise WireError(f"{ko} has no struct {_STRUCT_PREFIX}*: was it built from zsfuzz's kmod/?")
    return Wire(structs, constants)


def _struct(facts: dict[str, Any]) -> Struct:
    members = tuple(Member(**member) for member in facts["members"])
    return Struct(facts["name"], facts["size"], members)


def _constants(unit: Unit) -> dict[str, int]:
    found = unit.enumerators(_CONSTANT_PREFIX)
    return {name.replace(_MACRO_PREFIX, _CONSTANT_PREFIX): value for name, value in found.items()}


def _merge(into: dict[str, Any], found: dict[str, Any], unit: Unit) -> None:
    for name, value in found.items():
        if into.setdefault(name, value) != value:
            raise WireError(f"{name} differs in {name_of(unit.top)}: rebuild the module")
