# SPDX-License-Identifier: GPL-2.0-only
"""A size class of one pool: its zspages, in lists by how full they are."""

from functools import cache

from zsmodel.classes import FULL, GROUPS, ClassShape, fullness_group
from zsmodel.design import POINTER, Design
from zsmodel.features import class_kind
from zsmodel.profile import EACH, FIRST, NONE, ONE, Profile
from zsmodel.wire import NONE8
from zsmodel.zspage import Zspage

NOT_FULL = (1 << FULL) - 1  # fullness groups 0 to 10, as bits
SOME_USED = NOT_FULL & ~1  # fullness groups 1 to 10


@cache
def group_table(objs: int) -> bytes:
    """List the group of a zspage with 0, 1, 2... of its `objs` objects in use."""
    return bytes(fullness_group(inuse, objs) for inuse in range(objs + 1))


def tag_bits(page_states: bytes) -> int:
    """Fold the tag bits of all pages: those in any, and, four bits up, those in all."""
    some, every = 0, POINTER - 1
    for state in page_states:
        some |= state & (POINTER - 1)
        every &= state
    return some | every << 4


class SizeClass:
    """Hold the fullness lists of one class (struct size_class).

    The head of a list is the *last* element; bit g of `occupied` says that list g is not empty.
    `allocated` and `inuse` count objects (ZS_OBJS_ALLOCATED, ZS_OBJS_INUSE).
    What the design says of it holds in memcg-aware pools only.
    """

    __slots__ = (
        "allocated",
        "arrays",
        "blank",
        "entries",
        "fresh",
        "groups",
        "index",
        "inuse",
        "kind",
        "lists",
        "objs",
        "occupied",
        "page_states",
        "pages",
        "size",
        "tag_bits",
        "tags",
        "twice",
        "unowned",
    )

    def __init__(self, shape: ClassShape, design: Design, profile: Profile) -> None:
        self.index = shape.index
        self.size = shape.size
        self.pages = shape.pages
        self.objs = shape.objs
        self.kind = class_kind(shape)
        self.groups = group_table(shape.objs)
        self.fresh = bytearray(reversed(range(shape.objs)))
        self.unowned = bytearray([NONE8]) * shape.objs
        self.lists: list[list[Zspage]] = [[] for _ in range(GROUPS)]
        arrays = design.arrays(shape)
        self.arrays = {EACH: len(arrays), ONE: 1, NONE: 0}[profile.array_allocations]
        self.entries = bytes(index for array in arrays for index in array)  # objects, by entry
        self.twice = bytes(self.entries.count(index) > 1 for index in range(shape.objs))
        self.blank: list[int] = []  # entries that are never filled
        if profile.span_entries == FIRST:
            self.blank = [at for at, one in enumerate(self.entries) if one in self.entries[:at]]
            self.twice = bytes(shape.objs)
        self.page_states = design.page_states(shape)
        self.tags = sum(1 << k for k, state in enumerate(self.page_states) if state)
        self.tag_bits = tag_bits(self.page_states)
        self.reset()

    def reset(self) -> None:
        """Forget every zspage."""
        self.allocated = 0
        self.inuse = 0
        self.occupied = 0
        for zspages in self.lists:
            if zspages:
                zspages.clear()

    def insert(self, zspage: Zspage, group: int) -> None:
        """Put `zspage` at the head of list `group` (insert_zspage)."""
        zspage.group = group
        self.lists[group].append(zspage)
        self.occupied |= 1 << group

    def remove(self, zspage: Zspage) -> None:
        """Take `zspage` out of its list (remove_zspage)."""
        fullness_list = self.lists[zspage.group]
        if fullness_list[-1] is zspage:
            fullness_list.pop()
        else:
            fullness_list.remove(zspage)
        if not fullness_list:
            self.occupied ^= 1 << zspage.group

    def move(self, zspage: Zspage, group: int) -> None:
        """Move `zspage` to the head of list `group` (fix_fullness_group).

        Do not call this for the group that it is in: there it keeps its place.
        """
        lists = self.lists
        left = lists[zspage.group]
        if left[-1] is zspage:
            left.pop()
        else:
            left.remove(zspage)
        if not left:
            self.occupied ^= 1 << zspage.group
        lists[group].append(zspage)
        self.occupied |= 1 << group
        zspage.group = group

    def put_back(self, zspage: Zspage) -> None:
        """Put `zspage`, which was held outside the lists, where it now belongs (putback_zspage)."""
        self.insert(zspage, self.groups[zspage.inuse])

    def fullest(self, groups: int) -> Zspage | None:
        """Find the head of the highest of `groups` (find_get_zspage, isolate_dst_zspage)."""
        groups &= self.occupied
        return self.lists[groups.bit_length() - 1][-1] if groups else None

    def emptiest(self, groups: int) -> Zspage | None:
        """Find the head of the lowest of `groups` (isolate_src_zspage)."""
        groups &= self.occupied
        return self.lists[(groups & -groups).bit_length() - 1][-1] if groups else None

    def zspages(self) -> list[Zspage]:
        """List all zspages, group by group, each from the head of its list."""
        found: list[Zspage] = []
        for zspages in self.lists:
            if zspages:
                found += zspages[::-1]
        return found

    def can_compact(self) -> int:
        """Count the pages that compaction could free (zs_can_compact)."""
        return (self.allocated - self.inuse) // self.objs * self.pages
