# SPDX-License-Identifier: GPL-2.0-only
"""Write zsfuzz_layout.h, through which the module knows zsmalloc's private structures."""

from __future__ import annotations

from collections.abc import Iterator

from zstools.adapter import render_adapter
from zstools.adapterfile import EMPTY, AdapterFile
from zstools.discovery import FREE, Discovery, Place
from zstools.dwarf import Member, Struct
from zstools.layout import DESIGNS, Layout

_TOP = """\
/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Generated from the DWARF of one built kernel, and true for that one only.
 *
 * ZSL_OFF_, ZSL_SIZE_: bytes.  ZSL_BIT_: byte offset of the 32-bit word that
 * holds a bit field, ZSL_SHIFT_ and ZSL_WIDTH_: where in it.  ZSL_SYM_,
 * ZSL_BUILD_ID_AT: address minus that of zs_malloc().
 */
#ifndef ZSFUZZ_LAYOUT_H
#define ZSFUZZ_LAYOUT_H
"""


def render_header(layout: Layout, given: AdapterFile = EMPTY) -> str:
    """Return the text of zsfuzz_layout.h; absent members and symbols have no macro."""
    lines = [_TOP]
    lines += [f"#define {name} {value}" for name, value in _macros(layout)]
    lines += render_adapter(layout.calls, given, layout.hidden)
    lines += _owners(layout.discovery.place)
    lines += ["", "#ifdef ZSL_WANT_SITES", *_sites(layout), "#endif", "", "#endif"]
    return "\n".join(lines) + "\n"


def _macros(layout: Layout) -> Iterator[tuple[str, object]]:
    yield "ZSL_DESIGN", DESIGNS.index(layout.design)
    for struct in layout.structs.values():
        yield from _struct_macros(struct)
    yield "ZSL_SIZE_CLASSES", layout.size_classes
    for name, value in layout.enumerators.items():
        yield f"ZSL_ENUM_{name}", value
    yield "ZSL_HAS_OWNERS", int(layout.discovery.owner_at != "none")
    yield "ZSL_OWNER_AT_MALLOC", int(layout.discovery.owner_at in ("malloc", "both"))
    yield "ZSL_FREE_TAKES_OWNER", int(layout.calls.uses(FREE, "objcg"))
    yield "ZSL_IS_FOREIGN", int(layout.is_foreign)
    yield "ZSL_WRITEBACK_BATCH", layout.writeback_batch
    yield from _counters(layout.discovery)
    if not layout.no_swap:
        yield "ZSL_HAS_SWAP", 1
    for name, distance in (layout.symbols | layout.hidden).items():
        yield f"ZSL_SYM_{name}", f"({distance}L)"
    yield "ZSL_BUILD_ID", "{ " + ", ".join(f"{b:#04x}" for b in layout.build_id) + " }"
    yield "ZSL_BUILD_ID_AT", f"({layout.build_id_at}L)"
    yield "ZSL_SITES", len(layout.coverage.sites)


def _counters(discovery: Discovery) -> Iterator[tuple[str, object]]:
    for name, counter in discovery.counters.items():
        yield f"ZSL_COUNTER_{name}", counter.name
        yield f"ZSL_UNIT_{name}", counter.unit


def _owners(place: Place | None) -> list[str]:
    """Return the function that finds the array of a zspage, or of a page; NULL if it has none."""
    name = "static inline void *zsl_owner_base(const void *at)"
    if place is None:
        return ["", name, "{", "\treturn NULL;", "}"]
    lines = ["", f"/* {place.path} */", f"#define ZSL_OWNER_STRIDE {place.stride}"]
    lines += [f"#define ZSL_OWNER_ENTRY {place.entry}", name, "{", "\tunsigned long word;", ""]
    for step in place.steps:
        lines += [f"\tword = READ_ONCE_NOCHECK(*(unsigned long *)((char *)at + {step}));"]
        lines += ["\tat = (void *)(word & ~7UL);", "\tif (!at)", "\t\treturn NULL;"]
    if place.path.endswith("[]") and (place.steps or place.struct == "zspage"):
        # A row at the end of a structure is there only if it was allocated with it.
        lines[1:1] = ["#include <linux/slab.h>"]
        lines[1:1] = [] if place.steps else ["#define ZSL_OWNER_ROW"]
        lines += [f"\tif (ksize(at) < {place.base + place.stride})", "\t\treturn NULL;"]
    return [*lines, f"\treturn (char *)at + {place.base};", "}"]


def _struct_macros(struct: Struct) -> Iterator[tuple[str, object]]:
    yield f"ZSL_SIZE_{struct.name}", struct.size
    for member in struct.members:
        if member.name:
            yield from _member_macros(f"{struct.name}_{member.name}", member)


def _member_macros(name: str, member: Member) -> Iterator[tuple[str, object]]:
    if not member.width:
        yield f"ZSL_OFF_{name}", member.offset
        return
    yield f"ZSL_BIT_{name}", member.offset
    yield f"ZSL_SHIFT_{name}", member.shift
    yield f"ZSL_WIDTH_{name}", member.width


def _sites(layout: Layout) -> list[str]:
    """Return the table of coverage sites, relative to zs_malloc(), ascending."""
    offsets = [site.pc - layout.anchor for site in layout.coverage.sites]
    rows = [offsets[i : i + 8] for i in range(0, len(offsets), 8)]
    body = ["\t" + ", ".join(map(str, row)) + "," for row in rows]
    return ["static const int zsl_sites[] = {", *body, "};"]
