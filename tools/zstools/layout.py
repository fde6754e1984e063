# SPDX-License-Identifier: GPL-2.0-only
"""Read the private facts of mm/zsmalloc.c from a built kernel: offsets, prototypes, addresses."""

from __future__ import annotations

import json
import re
from collections.abc import Container
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from zstools.adapter import Calls
from zstools.adapterfile import EMPTY, AdapterFile
from zstools.coverage import Coverage, read_coverage
from zstools.discover import discover
from zstools.discovery import Discovery
from zstools.dwarf import Struct, Unit, find_unit, open_elf
from zstools.errors import LayoutError

SOURCE = "mm/zsmalloc.c"
ANCHOR = "zs_malloc"  # exported, so the module can add differences to its address

# As enum zsfuzz_design in kmod/zsfuzz_abi.h.
DESIGNS = ("stock", "zspage", "zpdesc")

_NOTE_HEAD = 16  # bytes of a note before its build ID: three words, and the name "GNU"

# Structure: the members without which the module cannot work.
REQUIRED = {
    "zs_pool": "size_class shrinker",
    "size_class": "fullness_list size objs_per_zspage pages_per_zspage index stats",
    "zspage": "huge fullness class inuse freeobj first_zpdesc list zsl",
    "zspage_lock": "lock cnt",
    "zpdesc": "next handle zspage",
    "page": "",
}
# The same for the swap path, of which a kernel may have no part: then none of them is told.
SWAP_UNITS = {
    "mm/zswap.c": {"zswap_entry": "handle length", "zswap_pool": "zs_pool list"},
    "drivers/block/zram/zram_drv.c": {
        "zram": "mem_pool table disk disksize",
        "zram_table_entry": "handle attr",
    },
}
SWAP_ENUMERATORS = ("ZRAM_SAME",)
SWAP_SYMBOLS = (
    "memcg_events",
    "nr_zswap_trees",
    "zswap_trees",
    "zswap_pools",
    "zswap_stored_pages",
    "zswap_max_pool_percent",
    "zswap_next_shrink",
    "zswap_shrink_work",
    "shrink_wq",
    "zram_index_idr",
)
# Of these only the named members are of use.
ONLY = {"page": ("memcg_data",)}
ENUMERATORS = ("NR_FULLNESS_GROUPS", "ZS_OBJS_ALLOCATED", "ZS_OBJS_INUSE")
_BATCH = re.compile(r"\bnr_to_walk = (\w+);")
_MACRO = re.compile(r"^#define\s+(ZS_\w+)\s", re.MULTILINE)
# Each is left out where the kernel does not have it.
SYMBOLS = (
    "zsmalloc_mops",
    *SWAP_SYMBOLS,
    "css_rstat_flush",
    "memcg_page_state",
    "obj_cgroup_may_zswap",
    "drain_all_stock",
    "drain_local_memcg_stock",
    "jiffies_min_age",
)


@dataclass(frozen=True)
class Layout:
    """What the module and Python must know of one built kernel; offsets and sizes in bytes."""

    discovery: Discovery
    calls: Calls
    is_foreign: bool  # not one of our own designs, of which more is asked
    writeback_batch: str
    build_id: bytes
    build_id_at: int  # address minus @anchor; the module looks there whether this is its kernel
    structs: dict[str, Struct]
    enumerators: dict[str, int]
    size_classes: int
    anchor: int  # address of zs_malloc()
    symbols: dict[str, int]  # addresses minus @anchor
    hidden: dict[str, int]  # the same of functions that are called, but not exported
    no_swap: str  # what of the swap path is missing, "" if nothing is
    coverage: Coverage

    @property
    def design(self) -> str:
        """Where the owners are: stock, zspage or zpdesc."""
        return self.discovery.design

    def to_json(self) -> str:
        """Render for layout.json; sites are addresses after the call, as KCOV records them."""
        facts = {**asdict(self), "build_id": self.build_id.hex(), "design": self.design}
        return json.dumps(facts, indent=1, sort_keys=True)


@dataclass(frozen=True)
class Hints:
    """What is known of a kernel besides its DWARF."""

    adapter: AdapterFile = EMPTY
    macros: tuple[str, ...] = field(default=())  # of zsmalloc's header
    is_foreign: bool = False
    writeback_batch: str = "1"  # as C spells it


def writeback_batch(tree: Path) -> str:
    """Return how many entries zswap looks at in one go: a constant in mm/zswap.c, not in DWARF."""
    try:
        text = (tree / "mm" / "zswap.c").read_text(errors="replace")
    except OSError:
        return Hints.writeback_batch
    begin = re.search(r"^static int shrink_memcg\(", text, re.MULTILINE)
    found = _BATCH.search(text, begin.start()) if begin else None
    return found[1] if found else Hints.writeback_batch


def header_macros(tree: Path) -> tuple[str, ...]:
    """Name the macros of a tree's zsmalloc.h, of which DWARF knows nothing."""
    try:
        text = (tree / "include" / "linux" / "zsmalloc.h").read_text(errors="replace")
    except OSError:
        return ()
    return tuple(_MACRO.findall(text))


def read_layout(vmlinux: Path, hints: Hints | None = None) -> Layout:
    """Read the layout of a kernel built with DWARF; raise LayoutError naming what is missing."""
    with open_elf(vmlinux) as elf:
        return _read(elf, vmlinux, hints or Hints())


def _read(elf: ELFFile, vmlinux: Path, hints: Hints) -> Layout:
    unit = find_unit(elf, SOURCE)
    structs = {name: _required_struct(unit, name) for name in REQUIRED}
    memcg_data = structs["page"].find("memcg_data")
    discovery, calls = discover(
        elf, unit, memcg_data.offset if memcg_data else None, hints.adapter, hints.macros
    )
    addresses = symbol_addresses(elf)
    swap, swap_enumerators, no_swap = _swap_path(elf, addresses)
    if ANCHOR not in addresses:
        raise LayoutError(f"{vmlinux} has no symbol {ANCHOR}: set CONFIG_ZSMALLOC=y")
    anchor = addresses[ANCHOR]
    identity, address = build_id(elf)
    return Layout(
        discovery=discovery,
        calls=calls,
        is_foreign=hints.is_foreign,
        writeback_batch=hints.writeback_batch,
        build_id=identity,
        build_id_at=address - anchor,
        structs={**structs, **swap},
        enumerators={**_enumerators(unit), **swap_enumerators},
        size_classes=_size_classes(structs["zs_pool"]),
        anchor=anchor,
        symbols={n: addresses[n] - anchor for n in SYMBOLS if n in addresses},
        hidden={n: addresses[n] - anchor for n in calls.functions() if _is_hidden(n, addresses)},
        no_swap=no_swap,
        coverage=read_coverage(elf, unit, vmlinux),
    )


def _is_hidden(name: str, addresses: Container[str]) -> bool:
    """Tell whether modules cannot link with a function of the kernel: what only zswap calls."""
    return name in addresses and f"__ksymtab_{name}" not in addresses


def _checked_struct(unit: Unit, name: str, members: str) -> Struct:
    found = unit.struct(name)
    if found is None:
        raise LayoutError(f"{unit.name} has no struct {name}: this {_what(unit)} is not supported")
    missing = [m for m in members.split() if found.find(m) is None]
    if missing:
        raise LayoutError(
            f"struct {name} has no {', '.join(missing)}: this {_what(unit)} is not supported"
        )
    return found


def _what(unit: Unit) -> str:
    return Path(unit.name).stem.removesuffix("_drv")


def _required_struct(unit: Unit, name: str) -> Struct:
    found = _checked_struct(unit, name, REQUIRED[name])
    if name in ONLY:
        return replace(found, members=tuple(m for m in found.members if m.name in ONLY[name]))
    return found


def _swap_path(
    elf: ELFFile, addresses: Container[str]
) -> tuple[dict[str, Struct], dict[str, int], str]:
    """Read the structures of zswap and zram; none, but the reason, if something is missing."""
    structs: dict[str, Struct] = {}
    enumerators: dict[str, int] = {}
    try:
        for source, required in SWAP_UNITS.items():
            unit = find_unit(elf, source)
            structs |= {name: _checked_struct(unit, name, required[name]) for name in required}
            found = unit.enumerators()
            enumerators |= {name: found[name] for name in SWAP_ENUMERATORS if name in found}
    except LayoutError as error:
        return {}, {}, str(error)
    missing = [name for name in SWAP_ENUMERATORS if name not in enumerators]
    missing += [name for name in SWAP_SYMBOLS if name not in addresses]
    if missing:
        return {}, {}, f"the kernel has no {', '.join(missing)}"
    return structs, enumerators, ""


def _enumerators(unit: Unit) -> dict[str, int]:
    found = unit.enumerators()
    missing = [n for n in ENUMERATORS if n not in found]
    if missing:
        raise LayoutError(f"{unit.name} has no enumerator {', '.join(missing)}")
    return {n: found[n] for n in ENUMERATORS}


def _size_classes(pool: Struct) -> int:
    member = pool.find("size_class")
    if member is None or not member.count:
        raise LayoutError("zs_pool.size_class is not an array: this zsmalloc is not supported")
    return member.count


def symbol_addresses(elf: ELFFile) -> dict[str, int]:
    """Return the address of each symbol; of a name that is there twice, the first."""
    table: Any = elf.get_section_by_name(".symtab")
    if table is None:
        raise LayoutError("the kernel is stripped: keep its symbol table")
    found: dict[str, int] = {}
    for symbol in table.iter_symbols():
        if symbol["st_shndx"] != "SHN_UNDEF":
            found.setdefault(symbol.name, symbol["st_value"])
    return found


def build_id(elf: ELFFile) -> tuple[bytes, int]:
    """Return the GNU build id and its address; raise LayoutError if there is none in memory."""
    sections: Any = elf.iter_sections("SHT_NOTE")
    for section in (section for section in sections if section["sh_addr"]):
        for note in section.iter_notes():
            if note["n_type"] == "NT_GNU_BUILD_ID":
                at = note["n_offset"] + _NOTE_HEAD - section["sh_offset"]
                return bytes.fromhex(note["n_desc"]), section["sh_addr"] + at
    raise LayoutError("the kernel has no build id: do not strip .notes")
