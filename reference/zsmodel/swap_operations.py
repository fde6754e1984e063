# SPDX-License-Identifier: GPL-2.0-only
"""What the operations on pages of processes do, one method each (docs/PROGRAM.md)."""

from errno import EALREADY, EBUSY, ENOENT, EOPNOTSUPP, EPERM, ESRCH
from typing import Final

from zsmodel.compaction import compact
from zsmodel.operations import Operations
from zsmodel.swap import ZSWPIN, Page, living
from zsmodel.wire import (
    IN_MEMORY,
    IN_ZSWAP,
    NO_OWNER,
    NONE8,
    NONE16,
    NOWHERE,
    ON_DEVICE,
    ON_DISK,
    PAGES,
    PATTERNS,
    RECORDS,
)

_FIELDS: Final = RECORDS["zsfuzz_result"].fields
INDEX: Final = _FIELDS.index("index") - len(_FIELDS)  # in `results`, of the last one


class SwapOperations(Operations):
    """Carry out the operations of the real swap path; they are as ObjectOperations says."""

    def page_write(self, number: int, _pool: int, owner: int, _size: int, arg: int) -> int:
        """Write a page; a new one belongs to a process in the cgroup (do_anonymous_page)."""
        page = self.swap.pages[number % PAGES]
        errno = self.new_page_error(page, owner)
        if errno:
            return errno
        self.swap.used = True
        if page.live:
            self.take_in(page, NONE16)
        else:
            page.live = True
            page.cgroup = owner
            page.folio = self.cgroups.names[owner]
            self.swap.processes.add(owner)
            self.succeed()
        page.pattern = arg % PATTERNS
        return 0

    def new_page_error(self, page: Page, owner: int) -> int:
        """Find why a page cannot be written, 0 if it can."""
        if not self.kernel.has_swap:
            return EOPNOTSUPP
        if page.live:
            return 0
        cgroup = self.cgroups.names[owner]
        if cgroup is None:
            return ESRCH
        return EBUSY if owner and self.cgroups.has_child(cgroup) else 0

    def page_out(self, number: int, _pool: int, _owner: int, _size: int, _arg: int) -> int:
        """Run MADV_PAGEOUT: to zswap if it may, to the disk otherwise (swap_writeout)."""
        page = self.swap.pages[number % PAGES]
        if not self.kernel.has_swap:
            return EOPNOTSUPP
        if not page.live:
            return ENOENT
        if page.where != IN_MEMORY:
            return EALREADY
        self.put_out(page)
        if page.stored:
            zspage = page.object.zspage
            if zspage.number < 0:
                zspage.number = next(self.zspage_numbers)
            disk = ON_DISK if page.where == ON_DEVICE else 0
            self.describe(page.object, page.length | disk)
        else:
            self.succeed()
        self.swap.number_zspages(self.zspage_numbers)
        return 0

    def put_out(self, page: Page) -> None:
        """Swap a page; one of zeros is only noted (swap_writeout, zswap_store)."""
        folio = page.folio
        if folio is None:
            return
        cgroup = page.slot = living(folio)
        if page.pattern == 0:
            page.where = NOWHERE
        elif cgroup.may_zswap(self.page_size) or self.swap.shrink(cgroup) == 0:
            self.swap.store(page)
        else:
            self.swap.write(page)

    def page_in(self, number: int, _pool: int, _owner: int, _size: int, _arg: int) -> int:
        """Fault a page in and read it (do_swap_page, zswap_load)."""
        return self.away(number, drop=False)

    def page_drop(self, number: int, _pool: int, _owner: int, _size: int, _arg: int) -> int:
        """Run MADV_DONTNEED: the slot and all that is kept of it are freed (zswap_invalidate)."""
        return self.away(number, drop=True)

    def away(self, number: int, *, drop: bool) -> int:
        """Take a page out of swap, into memory or away altogether."""
        page = self.swap.pages[number % PAGES]
        if not self.kernel.has_swap:
            return EOPNOTSUPP
        if not page.live:
            return ENOENT
        self.take_in(page, NONE16 if drop else page.pattern, drop=drop)
        if drop:
            page.forget()
        return 0

    def take_in(self, page: Page, value: int, *, drop: bool = False) -> None:
        """Bring a page back to memory, or drop it, and answer with the place that it leaves."""
        obj = page.object
        swapped, stored = page.where != IN_MEMORY, page.stored
        owner = obj.zspage.owners[obj.index] if stored else NONE8
        if page.where == IN_ZSWAP and not drop:
            self.swap.count(page, ZSWPIN)
        gone = self.swap.discard(page)
        if swapped and not page.cached:
            page.folio = self.swap.charged_again(page, page.cgroup)
        page.where = IN_MEMORY
        page.cached = False
        if not stored:
            self.succeed(value)
            return
        zspage, size_class = obj.zspage, obj.zspage.size_class
        self.results.extend(
            (
                0,
                zspage.number,
                size_class.index,
                obj.index,
                owner,
                owner if size_class.twice[obj.index] and obj.pool.aware else NONE8,
                NONE8 if gone else zspage.group,
                0 if gone else zspage.tag_bits,
                0 if gone else zspage.inuse,
                0 if gone else zspage.tags,
                value,
                NONE16,
            )
        )
        self.results.append(self.nr_zspages())

    def page_exit(self, _object: int, _pool: int, owner: int, _size: int, _arg: int) -> int:
        """End a cgroup's process; its pages go in order of address (exit_mmap)."""
        if not self.kernel.has_swap:
            return EOPNOTSUPP
        if owner not in self.swap.processes:
            return ESRCH
        self.swap.processes.remove(owner)
        for page in self.swap.pages:
            if page.live and page.cgroup == owner:
                self.swap.discard(page)
                page.forget()
        self.succeed()
        return 0

    def writeback(self, _object: int, _pool: int, _owner: int, _size: int, _arg: int) -> int:
        """Write all that zswap has to the disk (shrink_worker)."""
        if not self.kernel.has_swap:
            return EOPNOTSUPP
        before = self.swap.stored()
        self.swap.write_all_back()
        left = self.swap.stored()
        self.succeed(before - left, inuse=left)
        self.swap.number_zspages(self.zspage_numbers)
        return 0

    def swap_compact(self, _object: int, _pool: int, _owner: int, _size: int, arg: int) -> int:
        """Run zs_compact() on zswap's pool, or on the disk's."""
        if not self.kernel.has_swap:
            return EOPNOTSUPP
        pool = self.swap.zram if arg & 1 else self.swap.zswap
        freed, moved = compact(pool, self.swap.objects(pool))
        self.succeed(freed, inuse=moved)
        return 0

    def stat_files(self, _object: int, _pool: int, owner: int, _size: int, _arg: int) -> int:
        """Read memory.zswap.current and memory.stat (zswap_current_read, memory_stat_format)."""
        if not self.kernel.has_swap:
            return EOPNOTSUPP
        cgroup = self.cgroups.names[owner]
        if cgroup is None:
            return ESRCH
        if cgroup.is_root:
            return EPERM
        zswap, zswapped = cgroup.total()
        self.succeed(zswap & NONE16, inuse=zswapped, tags=zswap >> 16)
        self.results[INDEX] = cgroup.total_incompressible()
        return 0

    # ---- cgroups ----------------------------------------------------------------------------

    def cgroup_create(self, number: int, pool: int, owner: int, size: int, arg: int) -> int:
        """Make a cgroup, but not in one that has a process (cgroup_vet_subtree_control_enable)."""
        names = self.cgroups.names
        can = self.kernel.has_memcg and names[owner] is None and arg != owner
        if can and arg and arg in self.swap.processes:
            return EBUSY
        return super().cgroup_create(number, pool, owner, size, arg)

    def cgroup_remove(self, number: int, pool: int, owner: int, size: int, arg: int) -> int:
        """Remove a cgroup; its process goes to the root, its pages stay where they are."""
        cgroup = self.cgroups.names[owner]
        errno = super().cgroup_remove(number, pool, owner, size, arg)
        if cgroup and not errno and self.swap.used:
            self.swap.reparent(cgroup)
            self.swap.processes.discard(owner)
            for page in self.swap.pages:
                if page.cgroup == owner:
                    page.cgroup = NO_OWNER
        return errno
