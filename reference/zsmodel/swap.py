# SPDX-License-Identifier: GPL-2.0-only
"""What is swapped: pages of processes, zswap's pool and lists, and the pool of a zram disk.

The swap device does its I/O at once (SWP_SYNCHRONOUS_IO), so a page that comes back leaves its swap
slot free, and one that goes out is in no cache; zswap's writeback alone leaves it in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EAGAIN, ENOENT
from itertools import repeat
from typing import TYPE_CHECKING, Final

from zsmodel.pool import Pool
from zsmodel.profile import AWARE, CHARGE, CLASS, IGNORE, NONE, ZSWAP
from zsmodel.wire import FOREIGN, IN_MEMORY, IN_ZSWAP, NO_OWNER, NONE8, NOWHERE, ON_DEVICE, PAGES
from zsmodel.zspage import Object

if TYPE_CHECKING:
    from zsmodel.cgroups import Cgroup, CgroupTree
    from zsmodel.fullness import SizeClass
    from zsmodel.kernel import Kernel

MAX_RECLAIM_RETRIES: Final = 16
MAX_ROUNDS: Final = 64  # of the worker, in one writeback
ZSWPIN, ZSWPOUT, ZSWPWB = range(3)  # events
UNNUMBERED: Final = -1  # zspages get their number when an operation ends


class Page:
    """Hold v<number>: a page of anonymous memory, in memory or swapped.

    `folio` is who is charged for it while it is in memory or in the swap cache, `slot` who is for
    its swap slot, `owner` whose it is in zswap.  `object` is where zswap or the disk has it, and
    `length` its compressed bytes.
    """

    __slots__ = (
        "cached",
        "cgroup",
        "charged",
        "folio",
        "length",
        "live",
        "number",
        "object",
        "owner",
        "pattern",
        "referenced",
        "slot",
        "where",
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.object = Object(number)
        self.forget()

    def forget(self) -> None:
        """Be absent."""
        self.live = False
        self.where = IN_MEMORY
        self.cgroup = NO_OWNER  # of its process; NO_OWNER: that was removed
        self.pattern = 0
        self.length = 0
        self.charged = 0  # bytes
        self.cached = False
        self.referenced = False
        self.folio: Cgroup | None = None
        self.slot: Cgroup | None = None
        self.owner: Cgroup | None = None
        self.object.forget()

    @property
    def stored(self) -> bool:
        """Tell whether it takes up an object."""
        return self.where in (IN_ZSWAP, ON_DEVICE)


def living(cgroup: Cgroup) -> Cgroup:
    """Find the nearest cgroup that was not removed (obj_cgroup_memcg)."""
    while cgroup.removed and cgroup.parent:
        cgroup = cgroup.parent
    return cgroup


class Swap:
    """Hold zswap and the disk behind it; what they keep of a page goes through here."""

    def __init__(
        self, kernel: Kernel, zswap: list[SizeClass], zram: list[SizeClass], tree: CgroupTree
    ) -> None:
        self.kernel = kernel
        self.tree = tree
        self.zswap = Pool(zswap)
        self.zram = Pool(zram)
        self.pages = [Page(number) for number in range(PAGES)]
        self.lrus: dict[Cgroup, list[Page]] = {}  # zswap_list_lru, heads first
        self.events: dict[Cgroup, list[int]] = {}
        self.processes: set[int] = set()  # cgroups that have one
        self.used = True
        self.reset()

    def reset(self) -> None:
        """Start anew, without processes."""
        if not self.used:
            return
        self.used = False
        numbers: Iterator[int] = repeat(UNNUMBERED)
        self.zswap.open(self.kernel.has_owners, numbers)
        arrays = self.kernel.has_owners and self.kernel.profile.pools != AWARE
        self.zram.open(arrays, numbers, False)
        for page in self.pages:
            page.forget()
        self.lrus.clear()
        self.events.clear()
        self.processes.clear()

    def live_pages(self) -> list[Page]:
        """List the pages that exist."""
        return [page for page in self.pages if page.live]

    def objects(self, pool: Pool) -> list[Object]:
        """List the objects of one of the two pools."""
        return [page.object for page in self.pages if page.stored and page.object.pool is pool]

    def number_zspages(self, numbers: Iterator[int]) -> None:
        """Give new zspages their numbers, in order of the pages that are in them."""
        for page in self.pages:
            if page.stored and page.object.zspage.number == UNNUMBERED:
                page.object.zspage.number = next(numbers)

    # ---- zswap ------------------------------------------------------------------------------

    def store(self, page: Page) -> None:
        """Keep a page compressed; its folio's cgroup is the owner (zswap_store_page)."""
        owner = page.owner = page.folio
        page.where = IN_ZSWAP
        page.length = self.kernel.zswap_lengths[page.pattern]
        page.object.pool = self.zswap
        self.zswap.malloc(page.object, page.length)
        page.referenced = True
        if owner is None:
            return
        profile = self.kernel.profile
        zspage = page.object.zspage
        if not (owner.is_root and profile.root_owner == IGNORE):
            zspage.owners[page.object.index] = FOREIGN if owner.number == NONE8 else owner.number
        if not owner.is_root or profile.root_owner == CHARGE:
            page.object.charged = owner
            page.charged = zspage.size_class.size if self.charges_classes else page.length
            owner.charge(page.charged)
            owner.incompressible += self.is_incompressible(page)
        self.count(page, ZSWPOUT)
        self.lrus.setdefault(living(owner), []).append(page)

    @property
    def charges_classes(self) -> bool:
        """Tell whether zsmalloc charges the objects, and by their classes."""
        profile = self.kernel.profile
        by_class = profile.charge_unit == CLASS and profile.charge_time != ZSWAP
        return self.zswap.aware and by_class

    def is_incompressible(self, page: Page) -> bool:
        """Tell whether a stored page counts in zswap_incomp (obj_cgroup_mod_zswap_incomp)."""
        rule = self.kernel.profile.incompressible
        length = page.charged if rule == CHARGE else page.length
        return rule != NONE and length == self.kernel.page_size

    def count(self, page: Page, event: int) -> None:
        """Count an event for the owner, for its ancestor if it was removed (count_objcg_events).

        After the store it is asked of zsmalloc who that is, unless zswap has noted it.
        """
        forgets_root = self.kernel.profile.root_owner == IGNORE and not self.kernel.has_entry_owners
        ignored = event != ZSWPOUT and forgets_root
        if page.owner and not (ignored and page.owner.is_root):
            self.events.setdefault(living(page.owner), [0, 0, 0])[event] += 1

    def events_of(self, cgroup: Cgroup) -> list[int]:
        """Sum the events of a cgroup and its descendants, removed ones too (memcg_events)."""
        events = self.events.get(cgroup, [0, 0, 0])
        for child in cgroup.children:
            events = [one + more for one, more in zip(events, self.events_of(child), strict=True)]
        return events

    def discard(self, page: Page) -> bool:
        """Free a page's object, if it has one; tell whether its zspage went with it."""
        if page.where == IN_ZSWAP:
            self.uncharge(page)
        pool = page.object.pool if page.stored else None
        page.where = IN_MEMORY
        return pool is not None and pool.free(page.object)

    def uncharge(self, page: Page) -> None:
        """Take a page off its list and its charge from its owner (zswap_entry_free)."""
        for lru in self.lrus.values():
            if page in lru:
                lru.remove(page)
        owner = page.object.charged
        if owner:
            owner.uncharge(page.charged)
            owner.incompressible -= self.is_incompressible(page)
        page.object.charged = None

    def write_back(self, page: Page) -> None:
        """Write a page to the disk; its folio stays in the swap cache (zswap_writeback_entry)."""
        self.count(page, ZSWPWB)
        self.discard(page)
        page.folio = self.charged_again(page, NO_OWNER)
        page.cached = True
        self.write(page)

    def shrink(self, cgroup: Cgroup) -> int:
        """Write pages of a cgroup back, or take their second chance away (shrink_memcg).

        Where the list is walked on from is known before a page goes to its end; after a page was
        written back the walk begins anew (list_lru_walk_one).
        """
        lru = self.lrus.get(cgroup)
        if not lru:
            return ENOENT
        errno, page = EAGAIN, lru[0]
        for _ in range(self.kernel.writeback_batch):
            at = lru.index(page)
            following = lru[at + 1] if at + 1 < len(lru) else None
            lru.append(lru.pop(at))
            if page.referenced:
                page.referenced = False
            else:
                self.write_back(page)
                errno, following = 0, lru[0] if lru else None
            if following is None:
                break
            page = following
        return errno

    def stored(self) -> int:
        """Count the pages that zswap has (zswap_stored_pages)."""
        return sum(size_class.inuse for size_class in self.zswap.classes.values())

    def write_all_back(self) -> None:
        """Run the worker with a limit of nothing until nothing is left (shrink_worker)."""
        order = self.tree.living()
        at = 0
        for _ in range(MAX_ROUNDS):
            if not self.stored():
                return
            at = self.shrink_round(order, at)

    def shrink_round(self, order: list[Cgroup], at: int) -> int:
        """Shrink cgroups in turn, from `order[at]` on; return where to go on (shrink_worker)."""
        attempts = failures = 0
        while True:
            if at == len(order):
                at = 0
                failures += not attempts
                if not attempts and failures == MAX_RECLAIM_RETRIES:
                    return at
                attempts = 0
            else:
                errno = self.shrink(order[at])
                at += 1
                attempts += errno != ENOENT
                failures += errno == EAGAIN
                if errno == EAGAIN and failures == MAX_RECLAIM_RETRIES:
                    return at
            if not self.zswap.pages:
                return at

    def reparent(self, cgroup: Cgroup) -> None:
        """Put a removed cgroup's list in front of its parent's (memcg_reparent_list_lru_one)."""
        lru = self.lrus.pop(cgroup, [])
        if lru and cgroup.parent:
            self.lrus[cgroup.parent] = lru + self.lrus.get(cgroup.parent, [])

    # ---- the disk, and memory ---------------------------------------------------------------

    def write(self, page: Page) -> None:
        """Write a page to the disk; one word again and again takes up nothing (zram_write_page)."""
        page.length = self.kernel.disk_lengths[page.pattern]
        page.where = ON_DEVICE if page.length else NOWHERE
        if page.length:
            page.object.pool = self.zram
            self.zram.malloc(page.object, page.length)

    def charged_again(self, page: Page, process: int) -> Cgroup | None:
        """Find who is charged for a page that comes back (mem_cgroup_swapin_charge_folio).

        That is who is charged for the slot, or, if it was removed, the cgroup of `process`: root.
        """
        if page.slot and not page.slot.removed:
            return page.slot
        return self.tree.names[0 if process == NO_OWNER else process]
