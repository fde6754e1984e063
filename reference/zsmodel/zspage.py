# SPDX-License-Identifier: GPL-2.0-only
"""A zspage: slots of equal size, a stack of the free ones, an owner for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsmodel.wire import NONE8

if TYPE_CHECKING:
    from zsmodel.cgroups import Cgroup
    from zsmodel.fullness import SizeClass
    from zsmodel.pool import Pool


class Object:
    """Hold what a program's object o<number> is: a handle and what was written through it."""

    __slots__ = (
        "bytes",
        "charged",
        "index",
        "length",
        "number",
        "pattern",
        "pool",
        "read_locked",
        "size",
        "zspage",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.pool: Pool
        self.zspage: Zspage  # zspage and index: what the handle's word says (record_obj)
        self.index = 0
        self.size = 0  # bytes asked for
        self.length = 0  # bytes written
        self.pattern = 0
        self.bytes = 0  # that `charged` was charged, if the profile is not the default
        self.forget()

    def forget(self) -> None:
        """Let go of what the object had of others."""
        self.charged: Cgroup | None = None
        self.read_locked = False


class Zspage:
    """Hold the slots of one zspage (struct zspage).

    `free` is the free list with its head, the next slot to be handed out, at the end: a stack.
    The kernel links the slots through their headers; the order is the same.
    """

    __slots__ = (
        "free",
        "group",
        "inuse",
        "locked",
        "number",
        "owners",
        "readers",
        "size_class",
        "tag_bits",
        "tags",
    )

    def __init__(self, number: int, size_class: SizeClass, aware: bool) -> None:
        self.number = number
        self.size_class = size_class
        self.group = 0
        self.inuse = 0
        self.free = size_class.fresh[:]  # slots are handed out from 0 up (init_zspage)
        self.owners = size_class.unowned[:]
        self.readers = 0  # zspage_read_lock() without unlock
        self.locked = 0  # bit k: the lock of page k is held
        self.tags = size_class.tags if aware else 0  # bit k: page k has memcg_data set
        self.tag_bits = size_class.tag_bits if aware else 0

    def obj_malloc(self) -> int:
        """Take the slot that was freed last (obj_malloc)."""
        self.inuse += 1
        return self.free.pop()

    def obj_free(self, index: int) -> None:
        """Give slot `index` back, to be handed out next, without an owner (obj_free)."""
        self.inuse -= 1
        self.free.append(index)
        self.owners[index] = NONE8

    def used(self) -> list[int]:
        """List the slots in use, in the order in which compaction finds them (find_alloced_obj)."""
        return sorted(set(range(self.size_class.objs)).difference(self.free))
