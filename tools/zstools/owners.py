# SPDX-License-Identifier: GPL-2.0-only
"""Find the array of owners that hangs on a zspage or on a page, whatever it is called.

It is told by its type: pointers to struct obj_cgroup, in a row.  Structures are followed from
struct zspage and struct zpdesc as far as the files of zsmalloc define them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from zstools.discovery import Place
from zstools.dwarf import Die, Unit, array_count, bare_type, name_of, number, size_of, type_of
from zstools.errors import LayoutError

_OWNER = "obj_cgroup"
_POINTER_BYTES = 8
_DEEPEST = 3  # pointers from the zspage to the array
_LEADS_AWAY = {"zs_pool", "size_class", "zspage", "zpdesc", "page", "folio", "list_head"}
_LEADS_AWAY |= {_OWNER, "mem_cgroup"}
_PAGE_WORD = "page->memcg_data"
_OF_ZSMALLOC = re.compile(r"(^|/)(mm/[^/]*|include/linux/zsmalloc[^/]*)$")
# How a place is told.
_BY_TYPE, _BY_OFFSET, _BY_NAME = 0, 1, 2
_NAMED = re.compile(r"objcg|obj_cgroup|owner|memcg", re.IGNORECASE)


@dataclass(frozen=True)
class _Trail:
    """How a member was reached."""

    path: str
    steps: tuple[int, ...] = ()  # pointers that were followed
    offset: int = 0  # in the structure that the last one points to
    joint: str = "->"

    def member(self, name: str, offset: int) -> _Trail:
        """Go to a member; of an anonymous one nothing is to be seen in the path."""
        if not name:
            return _Trail(self.path, self.steps, self.offset + offset, self.joint)
        path = f"{self.path}{self.joint}{name}"
        return _Trail(path, self.steps, self.offset + offset, ".")

    def pointed(self) -> _Trail:
        """Follow the pointer that was reached."""
        return _Trail(self.path, (*self.steps, self.offset))


def find_place(unit: Unit, memcg_data: int | None) -> Place | None:
    """Return where the owners are; None if neither a zspage nor a page has any.

    @memcg_data is the offset of page->memcg_data, None without CONFIG_MEMCG.
    """
    search = _Search(unit, memcg_data)
    found = [*search.in_struct("zspage"), *search.in_struct("zpdesc")]
    if not found:
        return None
    best = min(_rank(kind, place, memcg_data) for kind, place in found)
    places = [place for kind, place in found if _rank(kind, place, memcg_data) == best]
    place = _only(places)
    if place.struct == "zpdesc" and place.steps[:1] != (memcg_data,) and memcg_data is not None:
        raise LayoutError(
            f"{place.path} has owners, but does not lie over page->memcg_data, as they do in the "
            "design that is known; where else they are, say in a file, and give that with "
            '--adapter (docs/OWN-KERNEL.md): owners = "zspage->member"'
        )
    return place


def _rank(kind: int, place: Place, memcg_data: int | None) -> tuple[bool, int]:
    """Order places: what lies over page->memcg_data, and is not just its namesake, is decisive.

    A zspage may know where its arrays begin, too: one allocation, whose parts hang on the pages.
    """
    over = memcg_data is not None and place.struct == "zpdesc" and place.steps[:1] == (memcg_data,)
    return not over or (kind != _BY_TYPE and place.path == "zpdesc->memcg_data"), kind


def _only(places: list[Place]) -> Place:
    """Return the one place of which these are names; raise LayoutError if there are two."""
    first = places[0]
    for other in places[1:]:
        if (other.struct, other.steps, other.base) != (first.struct, first.steps, first.base):
            raise LayoutError(
                f"owners may be at {first.path} and at {other.path}; say where they are in a file, "
                f'and give that with --adapter (docs/OWN-KERNEL.md): owners = "{first.path}"'
            )
    return first


def follow_path(unit: Unit, path: str) -> Place:
    """Return the place of `zspage->ext->owners`; raise LayoutError if there is no such thing."""
    name, *rest = re.findall(r"\w+", path) or [""]
    die = unit.aggregate(name)
    is_word = (name, rest) == ("page", ["memcg_data"])  # without a member of zpdesc's own
    if die is None or not (is_word or (name in ("zspage", "zpdesc") and rest)):
        raise LayoutError(f"owners {path!r}: begin with zspage-> or zpdesc->, or say {_PAGE_WORD}")
    trail, name = _Trail(name), "zpdesc" if is_word else name
    for depth, member in enumerate(rest):
        found = _find_member(die, member, 0) if die is not None else None
        if found is None:
            raise LayoutError(f"owners {path!r}: there is no member {member!r} in {trail.path}")
        trail, die = trail.member(member, found[0]), bare_type(found[1])
        if depth + 1 < len(rest) and die is not None and die.tag == "DW_TAG_pointer_type":
            trail, die = trail.pointed(), bare_type(type_of(die))
    return _array_at(name, trail, die) or _entries_at(name, trail, die) or _word_at(name, trail)


class _Search:
    def __init__(self, unit: Unit, memcg_data: int | None) -> None:
        self._unit = unit
        self._memcg_data = memcg_data

    def in_struct(self, name: str) -> Iterator[tuple[int, Place]]:
        """Yield (how it is told, place)."""
        die = self._unit.aggregate(name)
        if die is not None:
            yield from self._members(name, die, _Trail(name))

    def _members(self, struct: str, die: Die, trail: _Trail) -> Iterator[tuple[int, Place]]:
        for child in die.iter_children():
            if child.tag != "DW_TAG_member" or "DW_AT_bit_size" in child.attributes:
                continue
            where = number(child, "DW_AT_data_member_location")
            yield from self._member(struct, child, trail.member(name_of(child), where))

    def _member(self, struct: str, child: Die, at: _Trail) -> Iterator[tuple[int, Place]]:
        bare = bare_type(type_of(child))
        if bare is None:
            return
        place = _array_at(struct, at, bare)
        if place is not None:
            yield _BY_TYPE, place
        elif bare.tag in ("DW_TAG_structure_type", "DW_TAG_union_type"):
            if self._is_ours(bare):  # a spinlock under debugging has an owner, too
                yield from self._members(struct, bare, at)
            elif self._is_over_memcg_data(struct, at):  # atomic_long_t
                yield _BY_OFFSET, _word_at(struct, at)
        elif bare.tag == "DW_TAG_pointer_type":
            yield from self._pointed(struct, bare, at, child)
        elif size_of(bare) == _POINTER_BYTES:
            yield from self._word(struct, at, child)

    def _pointed(
        self, struct: str, pointer: Die, at: _Trail, child: Die
    ) -> Iterator[tuple[int, Place]]:
        target = bare_type(type_of(pointer))
        if target is None:
            yield from self._word(struct, at, child)
        elif name_of(target) not in _LEADS_AWAY:
            found = list(self._behind(struct, pointer, target, at))
            if not found and self._is_over_memcg_data(struct, at):
                # Of a type that tells nothing, or that others made for arrays of this kind.
                place = _entries_at(struct, at, pointer) or _word_at(struct, at)
                found = [(_BY_OFFSET, place)]
            yield from found

    def _behind(
        self, struct: str, pointer: Die, target: Die, at: _Trail
    ) -> Iterator[tuple[int, Place]]:
        is_struct = target.tag == "DW_TAG_structure_type"
        if not is_struct or len(at.steps) >= _DEEPEST or not self._is_ours(target):
            return
        inner = list(self._members(struct, target, at.pointed()))
        yield from inner
        entries = _entries_at(struct, at, pointer)
        if entries is not None and all(kind for kind, _ in inner):
            yield _BY_TYPE, entries

    def _word(self, struct: str, at: _Trail, child: Die) -> Iterator[tuple[int, Place]]:
        if self._is_over_memcg_data(struct, at):
            yield _BY_OFFSET, _word_at(struct, at)
        elif _NAMED.search(name_of(child)):
            yield _BY_NAME, _word_at(struct, at)

    def _is_over_memcg_data(self, struct: str, at: _Trail) -> bool:
        return struct == "zpdesc" and not at.steps and at.offset == self._memcg_data

    def _is_ours(self, die: Die) -> bool:
        return _OF_ZSMALLOC.search(self._unit.file_of(die)) is not None


def _array_at(struct: str, at: _Trail, bare: Die | None) -> Place | None:
    """Tell an array of owners by its type: a pointer to pointers, or the array itself."""
    if bare is None:
        return None
    if bare.tag == "DW_TAG_pointer_type" and _is_owner_pointer(bare_type(type_of(bare))):
        return Place(struct, at.path, at.pointed().steps)
    if bare.tag != "DW_TAG_array_type":
        return None
    element = bare_type(type_of(bare))
    if _is_owner_pointer(element):
        return Place(struct, f"{at.path}[]", at.steps, at.offset)
    entry = _entry_of(element)
    if entry is None or array_count(bare) == 1:
        return None
    return Place(struct, f"{at.path}[]", at.steps, at.offset, size_of(element), entry)


def _entries_at(struct: str, at: _Trail, bare: Die | None) -> Place | None:
    """Take a pointer to structures that each have an owner."""
    target = bare_type(type_of(bare)) if bare is not None else None
    entry = _entry_of(target)
    if entry is None:
        return None
    return Place(struct, at.path, at.pointed().steps, 0, size_of(target), entry)


def _word_at(struct: str, at: _Trail) -> Place:
    return Place(struct, at.path, at.pointed().steps)


def _is_owner_pointer(die: Die | None) -> bool:
    if die is None or die.tag != "DW_TAG_pointer_type":
        return False
    target = bare_type(type_of(die))
    return target is not None and name_of(target) == _OWNER


def _entry_of(die: Die | None) -> int | None:
    """Return the offset of the owner in a structure that is one entry."""
    if die is None or die.tag != "DW_TAG_structure_type" or name_of(die) in _LEADS_AWAY:
        return None
    for child in die.iter_children():
        if child.tag == "DW_TAG_member" and _is_owner_pointer(bare_type(type_of(child))):
            return number(child, "DW_AT_data_member_location")
    return None


def _find_member(die: Die, name: str, base: int) -> tuple[int, Die | None] | None:
    """Find a member, in anonymous inner structures too."""
    for child in die.iter_children():
        if child.tag != "DW_TAG_member":
            continue
        offset = base + number(child, "DW_AT_data_member_location")
        if name_of(child) == name:
            return offset, type_of(child)
        inner = bare_type(type_of(child))
        if not name_of(child) and inner is not None and inner.has_children:
            found = _find_member(inner, name, offset)
            if found is not None:
                return found
    return None
