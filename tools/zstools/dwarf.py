# SPDX-License-Identifier: GPL-2.0-only
"""Read structures, enumerators and prototypes of one compilation unit from DWARF."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import DWARFError, ELFError, ELFParseError
from elftools.elf.elffile import ELFFile

from zstools.errors import LayoutError
from zstools.unitnames import dwarf_of, quick_name

# pyelftools has no type information; a DIE is theirs.
Die = Any

_QUALIFIERS = {
    "DW_TAG_typedef",
    "DW_TAG_const_type",
    "DW_TAG_volatile_type",
    "DW_TAG_atomic_type",
    "DW_TAG_restrict_type",
}
_AGGREGATES = ("DW_TAG_structure_type", "DW_TAG_union_type")


@dataclass(frozen=True)
class Member:
    """A member of a structure; anonymous inner structures are flattened away."""

    name: str
    offset: int  # bytes; of a bit field: of the 32-bit word that holds it
    size: int  # bytes; 0 if unknown
    type: str  # as C would spell it
    signed: bool = False
    count: int = 0  # elements, if it is an array
    shift: int = 0  # bit fields: lowest bit in the word
    width: int = 0  # bit fields: bits; 0 if it is none


@dataclass(frozen=True)
class Struct:
    """A structure's size (bytes) and members, in order of offset."""

    name: str
    size: int
    members: tuple[Member, ...]

    def find(self, name: str) -> Member | None:
        """Return the member, or None: many members depend on the configuration."""
        return next((m for m in self.members if m.name == name), None)


@contextmanager
def open_elf(path: Path) -> Iterator[ELFFile]:
    """Open an ELF file; raise LayoutError if it is not one or has no DWARF."""
    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            if not elf.has_dwarf_info(strict=True):
                raise LayoutError(f"{path} has no debug information: build it with DWARF")
            yield elf
    except OSError as error:
        raise LayoutError(f"cannot read {path}: {error.strerror}") from error
    except (ELFError, ELFParseError, DWARFError) as error:
        raise LayoutError(f"{path} is not a readable ELF file ({error}): rebuild it") from error


def text(die: Die, attribute: str) -> str:
    """Return a string attribute, or "" if the DIE has none."""
    found = die.attributes.get(attribute)
    return found.value.decode() if found else ""


def name_of(die: Die) -> str:
    """Return DW_AT_name, or ""."""
    return text(die, "DW_AT_name")


def number(die: Die, attribute: str, default: int = 0) -> int:
    """Return a constant attribute."""
    found = die.attributes.get(attribute)
    return int(found.value) if found else default


def type_of(die: Die) -> Die | None:
    """Follow DW_AT_type; None stands for void."""
    if "DW_AT_type" not in die.attributes:
        return None
    return die.get_DIE_from_attribute("DW_AT_type")


def bare_type(die: Die | None) -> Die | None:
    """Follow typedefs and qualifiers down to the type itself."""
    while die is not None and die.tag in _QUALIFIERS:
        die = type_of(die)
    return die


def size_of(die: Die | None) -> int:
    """Return a type's size in bytes; 0 for void, functions and flexible arrays."""
    die = bare_type(die)
    if die is None:
        return 0
    if "DW_AT_byte_size" in die.attributes:
        return number(die, "DW_AT_byte_size")
    if die.tag == "DW_TAG_array_type":
        return array_count(die) * size_of(type_of(die))
    return die.cu["address_size"] if die.tag == "DW_TAG_pointer_type" else 0


def array_count(die: Die) -> int:
    """Return the number of elements of an array over all its dimensions."""
    total = 1
    for child in die.iter_children():
        if child.tag != "DW_TAG_subrange_type":
            continue
        if "DW_AT_count" in child.attributes:
            total *= number(child, "DW_AT_count")
        else:
            total *= number(child, "DW_AT_upper_bound", -1) + 1
    return total


def spell(die: Die | None) -> str:
    """Spell a type as C does, without qualifiers: `struct obj_cgroup **`."""
    if die is None:
        return "void"
    if die.tag == "DW_TAG_pointer_type":
        inner = spell(type_of(die))
        return f"{inner}*" if inner.endswith("*") else f"{inner} *"
    if die.tag == "DW_TAG_array_type":
        return f"{spell(type_of(die))}[{array_count(die)}]"
    if die.tag in _QUALIFIERS and die.tag != "DW_TAG_typedef":
        return spell(type_of(die))
    prefix = {"DW_TAG_structure_type": "struct ", "DW_TAG_union_type": "union "}
    prefix["DW_TAG_enumeration_type"] = "enum "
    return prefix.get(die.tag, "") + (name_of(die) or "?")


def _is_signed(die: Die | None) -> bool:
    # DW_ATE_signed, DW_ATE_signed_char
    die = bare_type(die)
    return die is not None and number(die, "DW_AT_encoding") in (5, 6)


def _bit_field(child: Die, base: int) -> tuple[int, int, int]:
    """Return (offset of the 32-bit word, shift, width) of a bit field."""
    width = number(child, "DW_AT_bit_size")
    if "DW_AT_data_bit_offset" in child.attributes:
        bit = base * 8 + number(child, "DW_AT_data_bit_offset")
    else:  # DWARF 2 and 3 count from the most significant bit of the storage unit
        storage = number(child, "DW_AT_byte_size") or size_of(type_of(child))
        bit = (base + number(child, "DW_AT_data_member_location")) * 8
        bit += storage * 8 - width - number(child, "DW_AT_bit_offset")
    word, shift = divmod(bit, 32)
    if shift + width > 32:
        raise LayoutError(f"bit field {name_of(child)!r} crosses a 32-bit word")
    return word * 4, shift, width


def _members(die: Die, base: int) -> Iterator[Member]:
    for child in die.iter_children():
        if child.tag != "DW_TAG_member":
            continue
        kind = type_of(child)
        bare = bare_type(kind)
        offset = base + number(child, "DW_AT_data_member_location")
        if not name_of(child) and bare is not None and bare.tag in _AGGREGATES:
            yield from _members(bare, offset)
            continue
        shift = width = 0
        if "DW_AT_bit_size" in child.attributes:
            offset, shift, width = _bit_field(child, base)
        is_array = bare is not None and bare.tag == "DW_TAG_array_type"
        element = type_of(bare) if bare is not None and is_array else kind
        yield Member(
            name_of(child), offset, size_of(kind), spell(kind), _is_signed(element),
            array_count(bare) if is_array else 0, shift, width,
        )  # fmt: skip


class Unit:
    """The top-level DIEs of one compilation unit, by kind and name."""

    def __init__(self, cu: Any) -> None:
        self.cu = cu
        self.top = cu.get_top_DIE()
        self.name = name_of(self.top)
        self._dies: dict[tuple[str, str], Die] = {}
        defined: set[tuple[str, str]] = set()
        for die in self.top.iter_children():
            key = (die.tag, name_of(die))
            if "DW_AT_declaration" not in die.attributes:
                self._dies[key] = die if key not in defined else self._dies[key]
                defined.add(key)
            elif die.tag == "DW_TAG_subprogram":
                self._dies.setdefault(key, die)

    def struct(self, name: str) -> Struct | None:
        """Return a structure that is defined (not only declared) in this unit."""
        die = self._dies.get(("DW_TAG_structure_type", name))
        if die is None:
            return None
        return Struct(name, number(die, "DW_AT_byte_size"), tuple(_members(die, 0)))

    def structs(self, prefix: str) -> list[Struct]:
        """Return the structures whose name begins with @prefix, by name."""
        names = sorted(n for tag, n in self._dies if tag == "DW_TAG_structure_type")
        found = [self.struct(n) for n in names if n.startswith(prefix)]
        return [s for s in found if s is not None]

    def enumerators(self, prefix: str = "") -> dict[str, int]:
        """Return all enumerators whose name begins with @prefix."""
        found = {}
        for die in self.top.iter_children():
            if die.tag != "DW_TAG_enumeration_type":
                continue
            for child in die.iter_children():
                if name_of(child).startswith(prefix):
                    found[name_of(child)] = number(child, "DW_AT_const_value")
        return found

    def enumeration(self, name: str) -> dict[str, int]:
        """Return the enumerators of one enumeration; none if it is not there."""
        die = self._dies.get(("DW_TAG_enumeration_type", name))
        children = die.iter_children() if die is not None and name else ()
        return {name_of(child): number(child, "DW_AT_const_value") for child in children}

    def functions(self) -> Iterator[Die]:
        """Yield the functions that are defined here and that other files can call."""
        for (tag, _name), die in self._dies.items():
            if tag != "DW_TAG_subprogram" or "DW_AT_external" not in die.attributes:
                continue
            if "DW_AT_declaration" not in die.attributes:
                yield die

    def aggregate(self, name: str) -> Die | None:
        """Return the DIE of a structure that is defined in this unit."""
        return self._dies.get(("DW_TAG_structure_type", name))

    def file_of(self, die: Die) -> str:
        """Return the path of the file in which something is declared, "" if it is not told."""
        program = self.cu.dwarfinfo.line_program_for_CU(self.cu)
        at = number(die, "DW_AT_decl_file", -1)
        if program is None or at < 0:
            return ""
        version = program["version"]
        files, folders = program["file_entry"], program["include_directory"]
        entry = files[at if version >= 5 else at - 1]
        folder = entry.dir_index if version >= 5 else entry.dir_index - 1
        place = folders[folder].decode() if 0 <= folder < len(folders) else ""
        return f"{place}/{entry.name.decode()}"


def find_unit(elf: ELFFile, source: str) -> Unit:
    """Return the unit compiled from a file whose path ends with @source."""
    dwarf = dwarf_of(elf)
    for cu in dwarf.iter_CUs():
        name = quick_name(dwarf, cu)
        if (name_of(cu.get_top_DIE()) if name is None else name).endswith(source):
            return Unit(cu)
    raise LayoutError(f"no debug information for {source}: is its option enabled and built in?")
