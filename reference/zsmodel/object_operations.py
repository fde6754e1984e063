# SPDX-License-Identifier: GPL-2.0-only
"""What the operations on objects do, one method each (docs/PROGRAM.md)."""

from errno import (
    EAGAIN,
    EBUSY,
    EEXIST,
    EINVAL,
    EMSGSIZE,
    ENOENT,
    ENOMEM,
    ENOSPC,
    EOPNOTSUPP,
    ERANGE,
    ESRCH,
)
from typing import Final

from zsmodel import faults
from zsmodel.kernel import Kernel
from zsmodel.ownership import store_owner, uncharge
from zsmodel.pool import Pool
from zsmodel.profile import ARRAYS
from zsmodel.state import State
from zsmodel.wire import NO_OWNER, NONE8, NONE16, PATTERNS, RECORDS
from zsmodel.zspage import Object

RESULT_FIELDS: Final = len(RECORDS["zsfuzz_result"].fields)


class ObjectOperations(State):
    """Carry out the operations that name an object.

    Each takes the fields of zsfuzz_op and appends a result, or returns an errno and changes
    nothing.  Rules come in the order of docs/PROGRAM.md.
    """

    def malloc(self, number: int, pool_number: int, owner: int, size: int, arg: int) -> int:
        """Run zs_malloc() and, with an owner, zs_obj_write()."""
        pool = self.pools[pool_number]
        if number in self.live:
            return EEXIST
        if pool is None:
            return ENOENT
        if owner != NO_OWNER and self.cgroups.names[owner] is None:
            return ESRCH
        if not 0 < size <= self.page_size:
            return ENOSPC if size else EINVAL
        if self.nth and not self.allocates(pool, size):
            return ENOMEM
        obj = self.live[number] = self.objects[number]
        obj.pool = pool
        obj.size = size
        obj.length = obj.pattern = 0
        pool.malloc(obj, size)
        if owner != NO_OWNER:
            self.store(obj, owner, size, arg)
        self.describe(obj, pool.pages)
        return 0

    def allocates(self, pool: Pool, size: int) -> bool:
        """Tell whether an armed zs_malloc() gets its memory (cache_alloc_handle, alloc_zspage)."""
        word = self.words and self.words.get(len(self.results) // RESULT_FIELDS)
        outcome = faults.believe(self.nth, pool.allocations(size), word or None)
        if outcome.tolerated:
            self.tolerated[outcome.tolerated] = self.tolerated.get(outcome.tolerated, 0) + 1
        self.left = outcome.left
        return outcome.ret == 0

    def store(self, obj: Object, owner: int, length: int, arg: int) -> None:
        """Write contents and owner; what the entry held before is uncharged (zs_obj_write)."""
        obj.length = length
        obj.pattern = arg % PATTERNS
        if obj.pool.aware and not self.usual_writes:
            if not obj.pool.asked and self.kernel.profile.pools == ARRAYS:
                owner = NO_OWNER
            cgroup = self.cgroups.names[owner] if self.cgroups.charged else None
            store_owner(self.kernel.profile, obj, owner, cgroup, self.page_size)
        elif obj.pool.aware:
            size = obj.zspage.size_class.size
            if obj.charged:
                obj.charged.uncharge(size)
            obj.zspage.owners[obj.index] = owner if owner != NO_OWNER else NONE8
            # c0, the root, is stored but never charged.
            charged = owner and self.cgroups.charged
            to_charge = obj.charged = self.cgroups.names[owner] if charged else None
            if to_charge:
                to_charge.charge(size)

    def write(self, number: int, _pool: int, owner: int, size: int, arg: int) -> int:
        """Run zs_obj_write(); without an owner the entry becomes NULL."""
        obj = self.live.get(number)
        if obj is None:
            return ENOENT
        if owner != NO_OWNER and self.cgroups.names[owner] is None:
            return ESRCH
        if size > obj.size:
            return EMSGSIZE
        if obj.read_locked:
            return EBUSY
        if self.owns_at_malloc:
            obj.length, obj.pattern = size or obj.size, arg % PATTERNS
        else:
            self.store(obj, owner, size or obj.size, arg)
        self.describe(obj, obj.pool.pages)
        return 0

    def read(self, number: int, _pool: int, _owner: int, _size: int, _arg: int) -> int:
        """Run zs_obj_read_begin() or its scatterlist form: what was written last is found."""
        obj = self.live.get(number)
        if obj is None:
            return ENOENT
        self.describe(obj, obj.pattern)
        return 0

    def free(self, number: int, _pool: int, _owner: int, _size: int, _arg: int) -> int:
        """Run zs_free(): the owner is uncharged, and the zspage perhaps freed."""
        obj = self.live.get(number)
        if obj is None:
            return ENOENT
        if obj.read_locked:
            return EBUSY
        zspage, pool, index = obj.zspage, obj.pool, obj.index
        size_class, owner = zspage.size_class, zspage.owners[index]
        if obj.charged and not self.usual_writes:
            uncharge(self.kernel.profile, obj, self.page_size)
        elif obj.charged:
            obj.charged.uncharge(size_class.size)
            obj.charged = None
        gone = pool.free(obj)
        del self.live[number]
        self.results.extend(
            (
                0,
                zspage.number,
                size_class.index,
                index,
                owner,
                owner if size_class.twice[index] else NONE8,
                NONE8 if gone else zspage.group,
                0 if gone else zspage.tag_bits,
                zspage.inuse,
                0 if gone else zspage.tags,
                pool.pages,
                NONE16,
            )
        )
        self.results.append(self.nr_zspages())
        return 0

    def migrate(self, number: int, _pool: int, _owner: int, _size: int, arg: int) -> int:
        """Run zs_page_migrate(): another page, and nothing that a program could see changes."""
        obj = self.live.get(number)
        errno = page_error(self.kernel, obj, arg)
        if obj is None or errno:
            return errno
        if obj.zspage.readers:
            return EBUSY
        self.describe(obj, 0)  # the old page: no memcg_data, and nobody refers to it
        return 0

    def lock_page(self, number: int, _pool: int, _owner: int, _size: int, arg: int) -> int:
        """Hold the lock of one page, so that its zspage cannot be freed (trylock_zspage)."""
        obj = self.live.get(number)
        errno = page_error(self.kernel, obj, arg)
        if obj is None or errno:
            return errno
        obj.zspage.locked |= 1 << arg
        self.describe(obj, obj.pool.pages)
        return 0

    def read_lock(self, number: int, _pool: int, _owner: int, _size: int, _arg: int) -> int:
        """Hold the zspage as a reader, so that nothing leaves it (zspage_read_lock)."""
        obj = self.live.get(number)
        if obj is None:
            return ENOENT
        if obj.read_locked:
            return EBUSY
        obj.read_locked = True
        obj.zspage.readers += 1
        self.describe(obj, obj.pool.pages)
        return 0


def page_error(kernel: Kernel, obj: Object | None, page: int) -> int:
    """Find why `page` of the object's zspage cannot be had, 0 if it can."""
    if obj is None:
        return ENOENT
    if page >= obj.zspage.size_class.pages:
        return ERANGE
    if not kernel.has_migration:
        return EOPNOTSUPP
    return EAGAIN if obj.zspage.locked >> page & 1 else 0
