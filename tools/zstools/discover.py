# SPDX-License-Identifier: GPL-2.0-only
"""Find out, from DWARF, how a built kernel keeps the owners of objects and how to call it."""

from __future__ import annotations

from collections.abc import Iterator

from elftools.elf.elffile import ELFFile

from zstools.adapter import Calls, Kinds, decide_calls, offer_write
from zstools.adapterfile import AdapterFile
from zstools.discovery import CREATE_POOL, MALLOC, SET_AWARE, WRITE, Counter, Discovery, Prototype
from zstools.dwarf import Unit, find_unit
from zstools.errors import LayoutError
from zstools.owners import find_place, follow_path
from zstools.prototypes import HANDLE, OBJCG, POOL, Functions, find_functions

_STATISTICS = "mm/memcontrol.c"  # its unit knows them all
_PAGE_BYTES = 4096
_USUAL_WRITE = "zs_obj_write(pool, handle, mem, size, objcg)"
# Functions of a kernel without owners that take a pool and that the module needs no adapter for.
_STOCK = (
    "zs_compact", "zs_destroy_pool", "zs_get_total_pages", "zs_huge_class_size",
    "zs_lookup_class_index",
    "zs_obj_read_begin", "zs_obj_read_end", "zs_obj_read_sg_begin", "zs_obj_read_sg_end",
    "zs_pool_stats",
)  # fmt: skip
# Statistic: the names that it has had, the usual one first.
_COUNTERS = {
    "zswap": ("MEMCG_ZSWAP_B", "NR_ZSWAP_B"),
    "zswapped": ("MEMCG_ZSWAPPED", "MEMCG_ZSWAPPED_B", "NR_ZSWAPPED_B", "NR_ZSWAPPED"),
    "incompressible": (
        "MEMCG_ZSWAP_INCOMP",
        "MEMCG_ZSWAP_INCOMP_B",
        "NR_ZSWAP_INCOMP_B",
        "NR_ZSWAP_INCOMP",
    ),
}


def discover(
    elf: ELFFile,
    unit: Unit,
    memcg_data: int | None,
    given: AdapterFile,
    macros: tuple[str, ...] = (),
) -> tuple[Discovery, Calls]:
    """Return what was found and how to call it.

    @memcg_data is the offset of page->memcg_data, None without CONFIG_MEMCG.  Raises LayoutError
    that shows the prototypes where something cannot be told.
    """
    functions = find_functions(unit)
    kinds = Kinds(
        lambda name: unit.enumeration(name) if name else unit.enumerators("ZS"),
        lambda name: _members(unit, name),
        macros,
    )
    calls = decide_calls(functions, given, kinds)
    owner_at = _owner_at(calls)
    path = given.owners
    place = follow_path(unit, path) if path is not None else find_place(unit, memcg_data)
    design = given.design or (place.struct if place is not None else "stock")
    if memcg_data is not None:
        _check(design, place is not None, owner_at, functions)
        if design != "stock" and owner_at == "none":
            raise LayoutError(_no_taker(functions, offer_write(functions, kinds)))
    aware_at = _aware_at(calls, functions.by_role)
    unaware = design != "stock" and aware_at == "none" and CREATE_POOL not in given.calls
    found = Discovery(
        design,
        owner_at,
        aware_at,
        functions.by_role,
        place if design != "stock" else None,
        _counters(elf, unit, given),
        given.path,
        tuple(_may_make_aware(functions)) if unaware else (),
    )
    return found, calls


def _members(unit: Unit, name: str) -> list[tuple[str, str]]:
    struct = unit.struct(name)
    return [(m.name, m.type.replace("_Bool", "bool")) for m in struct.members] if struct else []


def _owner_at(calls: Calls) -> str:
    at = [role for role in (MALLOC, WRITE) if calls.uses(role, "objcg")]
    return {0: "none", 1: at[0] if at else "", 2: "both"}[len(at)]


def _aware_at(calls: Calls, functions: dict[str, Prototype]) -> str:
    if calls.uses(CREATE_POOL, "aware"):
        return "setter" if SET_AWARE in functions else "create"
    return MALLOC if calls.uses(MALLOC, "aware") else "none"


def _may_make_aware(functions: Functions) -> Iterator[str]:
    """Yield a note if there are functions that nobody knows and that take a pool."""
    known = [f.name for f in functions.by_role.values()]
    unknown = [f for f in functions.external if f.has(POOL) and f.name not in (*known, *_STOCK)]
    if not unknown:
        return
    shown = "".join(f"\n  {function}" for function in unknown)
    call = (
        f"struct zs_pool *pool = zs_create_pool(name); if (pool && aware) {unknown[0].name}(pool)"
    )
    yield (
        "nothing was found that says that a pool has owners. If one of these does, say so in a "
        "file, and give that with --adapter (docs/OWN-KERNEL.md), such as "
        f'create_pool = "({{ {call}; pool; }})"{shown}'
    )


def _check(design: str, has_place: bool, owner_at: str, functions: Functions) -> None:
    shown = "\n".join(f"  {function}" for function in functions.by_role.values())
    if design != "stock" and not has_place:
        raise LayoutError(f'design {design}: say where the owners are, as owners = "..."')
    if design == "stock" and owner_at != "none":
        raise LayoutError(
            "objects have owners, but no array of struct obj_cgroup pointers was found in struct "
            "zspage or struct zpdesc; say where it is in a file, and give that with --adapter "
            '(docs/OWN-KERNEL.md): owners = "zspage->member->owners", or "page->memcg_data" '
            "where struct zpdesc has no member for them; owners that are kept with neither, such "
            "as beside the handle, cannot be checked, but all else can, by a call "
            f'that names none: write = "zs_obj_write(..., NULL)"\nfound:\n{shown}'
        )


def _no_taker(functions: Functions, offer: str) -> str:
    """Complain that no function takes an owner, with all that may do so by their types."""
    known = list(functions.by_role.values())
    others = [f for f in functions.external if f.has(OBJCG) or (f.has(POOL) and f.has(HANDLE))]
    shown = dict.fromkeys(f"  {function}" for function in (*known, *others))
    found = "\n".join(shown)
    return (
        "there is a place for owners, but no function takes an owner; say which does in a "
        "file, and give that with --adapter (docs/OWN-KERNEL.md): "
        f'write = "{offer or _USUAL_WRITE}"\nfound:\n{found}'
    )


def _counters(elf: ELFFile, unit: Unit, given: AdapterFile) -> dict[str, Counter]:
    known = unit.enumerators()  # another unit takes seconds to read
    # Where the pool knows its statistics of a node, it need not know those of a cgroup.
    if not all(any(name in known for name in names) for names in _COUNTERS.values()):
        try:
            known |= find_unit(elf, _STATISTICS).enumerators()
        except LayoutError:
            return {}  # CONFIG_MEMCG=n
    found = {}
    for counter, names in _COUNTERS.items():
        wanted = (given.counters[counter],) if counter in given.counters else names
        name = next((n for n in wanted if n in known), None)
        if name is not None:
            in_bytes = name.endswith("_B")
            found[counter] = Counter(name, 1 if in_bytes else _PAGE_BYTES)
        elif counter in given.counters:
            raise LayoutError(f"adapter {given.path}: there is no statistic {wanted[0]}")
    return found
