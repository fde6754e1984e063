# SPDX-License-Identifier: GPL-2.0-only
"""The tree of cgroups and what its members are charged for zswap."""

from __future__ import annotations

from typing import Final

from zsmodel.wire import CGROUPS, NO_LIMIT, NONE8

PARENTS: Final = (0, NONE8, NONE8, 1, 3, 2, 2)  # of c0..c6 at the start; NONE8: the common parent


class Cgroup:
    """Hold one cgroup's own charges: `zswap` bytes and `zswapped` objects.

    A removed cgroup stays where it was in the tree.  So its charges, and what is uncharged from it
    later, count in its ancestors only: in effect they are the parent's (memcg_reparent_objcgs).
    """

    __slots__ = (
        "children",
        "incompressible",
        "number",
        "parent",
        "removed",
        "zswap",
        "zswap_max",
        "zswapped",
    )

    def __init__(self, number: int, parent: Cgroup | None) -> None:
        self.number = number
        self.parent = parent
        self.children: list[Cgroup] = []
        self.removed = False
        self.zswap = 0
        self.zswapped = 0
        self.incompressible = 0  # pages that zswap keeps as they are
        self.zswap_max = NO_LIMIT  # pages
        if parent:
            parent.children.append(self)

    @property
    def is_root(self) -> bool:
        """Tell whether charges are skipped (obj_cgroup_is_root)."""
        return self.parent is None

    def charge(self, size: int) -> None:
        """Charge an object of a class of `size` bytes (obj_cgroup_charge_zswap)."""
        self.zswap += size
        self.zswapped += 1

    def uncharge(self, size: int) -> None:
        """Uncharge an object of a class of `size` bytes (obj_cgroup_uncharge_zswap)."""
        self.zswap -= size
        self.zswapped -= 1

    def may_zswap(self, page_size: int) -> bool:
        """Tell whether it and its ancestors are below their limits (obj_cgroup_may_zswap)."""
        cgroup: Cgroup | None = self
        while cgroup and not cgroup.is_root:
            limit = cgroup.zswap_max
            if limit != NO_LIMIT and cgroup.total()[0] // page_size >= limit:
                return False
            cgroup = cgroup.parent
        return True

    def total(self) -> tuple[int, int]:
        """Sum bytes and objects over the cgroup and its descendants (memcg_page_state)."""
        zswap, zswapped = self.zswap, self.zswapped
        for child in self.children:
            more_zswap, more_zswapped = child.total()
            zswap += more_zswap
            zswapped += more_zswapped
        return zswap, zswapped

    def total_incompressible(self) -> int:
        """Count pages that did not compress, with its descendants' (MEMCG_ZSWAP_INCOMP)."""
        return self.incompressible + sum(c.total_incompressible() for c in self.children)

    def descendants(self) -> list[Cgroup]:
        """List the living cgroups here, itself first (css_next_descendant_pre)."""
        found = [] if self.removed else [self]
        for child in self.children:
            found += child.descendants()
        return found


class CgroupTree:
    """Hold the cgroups that a program can name; `names[c]` is None for an absent one."""

    __slots__ = ("changed", "charged", "common", "exists", "names")

    def __init__(self, exists: bool, charged: bool) -> None:
        self.exists = exists  # without memcg no cgroup does
        self.charged = charged  # without zswap nobody is
        self.changed = True
        self.names: list[Cgroup | None] = []
        self.reset()

    def reset(self) -> None:
        """Bring back the tree that every program finds."""
        if self.changed:
            self._plant()
        for cgroup in (*self.names, self.common):
            if cgroup:
                cgroup.zswap = cgroup.zswapped = cgroup.incompressible = 0
                cgroup.zswap_max = NO_LIMIT

    def _plant(self) -> None:
        root = Cgroup(0, None)
        self.common = Cgroup(NONE8, root)
        self.names = [None] * (CGROUPS + 1)  # names[NO_OWNER] stays None
        self.changed = False
        if self.exists:
            self.names[0] = root
            for number in range(1, len(PARENTS)):
                parent = PARENTS[number]
                self.names[number] = Cgroup(
                    number, self.names[parent] if parent != NONE8 else self.common
                )

    def living(self) -> list[Cgroup]:
        """List all cgroups, the root first, as the kernel goes through them (mem_cgroup_iter)."""
        root = self.names[0]
        return root.descendants() if root else []

    def create(self, number: int, parent: int) -> None:
        """Create c<number> in c<parent>, in the common parent if they are the same (mkdir)."""
        self.changed = True
        self.names[number] = Cgroup(number, self.names[parent] or self.common)

    def remove(self, cgroup: Cgroup) -> None:
        """Remove a cgroup without children; objects still name it (rmdir)."""
        self.changed = True
        cgroup.removed = True
        self.names[cgroup.number] = None

    def has_child(self, cgroup: Cgroup) -> bool:
        """Tell whether a living cgroup is in this one."""
        return not all(child.removed for child in cgroup.children)
