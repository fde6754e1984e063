# SPDX-License-Identifier: GPL-2.0-only
"""Write zsfuzz_layout.h, through which the module knows zsmalloc's private structures."""

from __future__ import annotations

from collections.abc import Iterator

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


def render_header(layout: Layout) -> str:
    """Return the text of zsfuzz_layout.h; absent members and symbols have no macro."""
    lines = [_TOP]
    lines += [f"#define {name} {value}" for name, value in _macros(layout)]
    lines += ["", "#ifdef ZSL_WANT_SITES", *_sites(layout), "#endif", "", "#endif"]
    return "\n".join(lines) + "\n"


def _macros(layout: Layout) -> Iterator[tuple[str, object]]:
    yield "ZSL_DESIGN", DESIGNS.index(layout.design)
    for struct in layout.structs.values():
        yield from _struct_macros(struct)
    yield "ZSL_SIZE_CLASSES", layout.size_classes
    for name, value in layout.enumerators.items():
        yield f"ZSL_ENUM_{name}", value
    for name, count in layout.arguments.items():
        yield f"ZSL_{name.upper()}_ARGS", count
    if not layout.no_swap:
        yield "ZSL_HAS_SWAP", 1
    for name, distance in layout.symbols.items():
        yield f"ZSL_SYM_{name}", f"({distance}L)"
    yield "ZSL_BUILD_ID", "{ " + ", ".join(f"{b:#04x}" for b in layout.build_id) + " }"
    yield "ZSL_BUILD_ID_AT", f"({layout.build_id_at}L)"
    yield "ZSL_SITES", len(layout.coverage.sites)


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
