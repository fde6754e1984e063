# SPDX-License-Identifier: GPL-2.0-only
"""What the operations on pools, faults and cgroups do, one method each (docs/PROGRAM.md)."""

from errno import EBUSY, EEXIST, ENOENT, EOPNOTSUPP, EPERM, ESRCH

from zsmodel.compaction import compact, shrinker_count
from zsmodel.object_operations import ObjectOperations
from zsmodel.wire import NONE16


class Operations(ObjectOperations):
    """Carry out the operations that name no object, too; they are as ObjectOperations says."""

    def pool_create(self, _object: int, number: int, _owner: int, _size: int, arg: int) -> int:
        """Run zs_create_pool()."""
        if self.pools[number]:
            return EEXIST
        self.open_pool(number, bool(arg & 1))
        self.succeed(0)
        return 0

    def pool_destroy(self, _object: int, number: int, _owner: int, _size: int, _arg: int) -> int:
        """Run zs_destroy_pool()."""
        pool = self.pools[number]
        if pool is None:
            return ENOENT
        if pool.pages:  # a zspage is there for live objects, or because a page of it is held
            return EBUSY
        self.pools[number] = None
        self.succeed()
        return 0

    def compact(self, _object: int, number: int, _owner: int, _size: int, _arg: int) -> int:
        """Run zs_compact()."""
        pool = self.pools[number]
        if pool is None:
            return ENOENT
        freed, moved = compact(pool, self.live.values())
        self.succeed(freed, inuse=moved)
        return 0

    def shrink(self, _object: int, number: int, _owner: int, _size: int, _arg: int) -> int:
        """Run zs_shrinker_count(), then zs_shrinker_scan(), which compacts."""
        pool = self.pools[number]
        if pool is None:
            return ENOENT
        freeable = shrinker_count(pool)
        freed, moved = compact(pool, self.live.values())
        self.succeed(freed or NONE16, inuse=moved, tags=freeable)  # SHRINK_STOP
        return 0

    def flush(self, _object: int, number: int, _owner: int, _size: int, _arg: int) -> int:
        """Let go of all that is held and run async_free_zspage()."""
        pool = self.pools[number]
        if pool is None:
            return ENOENT
        for obj in self.live.values():
            if obj.pool is pool:
                obj.read_locked = False
        pool.flush()
        self.succeed(pool.pages)
        return 0

    def fail_next(self, _object: int, _pool: int, _owner: int, _size: int, arg: int) -> int:
        """Arm task->fail_nth for the next operation."""
        if not self.kernel.has_faults:
            return EOPNOTSUPP
        self.nth = arg & 0xFF
        self.succeed(0)
        return 0

    def stat(self, _object: int, _pool: int, owner: int, _size: int, _arg: int) -> int:
        """Read what memory.stat says of zswap (memcg_page_state)."""
        if not self.kernel.has_memcg:
            return EOPNOTSUPP
        cgroup = self.cgroups.names[owner]
        if cgroup is None:
            return ESRCH
        zswap, zswapped = cgroup.total()
        self.succeed(zswap & NONE16, inuse=zswapped, tags=zswap >> 16)
        return 0

    def zswap_max(self, _object: int, _pool: int, owner: int, _size: int, arg: int) -> int:
        """Limit a cgroup's zswap to `arg` pages (memory.zswap.max)."""
        errno = self.charged_cgroup_error(owner)
        cgroup = self.cgroups.names[owner]
        if cgroup is None or errno:
            return errno
        if cgroup.is_root:
            return EPERM
        cgroup.zswap_max = arg
        self.succeed()
        return 0

    def may_zswap(self, _object: int, _pool: int, owner: int, _size: int, _arg: int) -> int:
        """Ask whether a cgroup may have more in zswap (obj_cgroup_may_zswap)."""
        errno = self.charged_cgroup_error(owner)
        cgroup = self.cgroups.names[owner]
        if cgroup is None or errno:
            return errno
        self.succeed(int(cgroup.may_zswap(self.page_size)))
        return 0

    def charged_cgroup_error(self, number: int) -> int:
        """Find why a cgroup has no limit of zswap, 0 if it has."""
        if not self.cgroups.charged:
            return EOPNOTSUPP
        return 0 if self.cgroups.names[number] else ESRCH

    def classes(self, _object: int, number: int, _owner: int, _size: int, _arg: int) -> int:
        """Read the totals of a pool's classes file; its rows are in the snapshot then."""
        pool = self.pools[number]
        if pool is None:
            return ENOENT
        if not self.kernel.has_classes:
            return EOPNOTSUPP
        pool.show_rows = True
        used = sum(size_class.inuse for size_class in pool.classes.values())
        self.succeed(pool.pages, inuse=used, tags=shrinker_count(pool))
        return 0

    def compact_memory(self, _object: int, _pool: int, _owner: int, _size: int, _arg: int) -> int:
        """Compact all memory: pages migrate, and nothing that a program could see changes."""
        if not self.kernel.has_migration:
            return EOPNOTSUPP
        self.succeed()
        return 0

    def cgroup_create(self, _object: int, _pool: int, owner: int, _size: int, arg: int) -> int:
        """Make a cgroup's directory (mem_cgroup_css_online)."""
        names = self.cgroups.names
        if not self.kernel.has_memcg:
            return EOPNOTSUPP
        if names[owner]:
            return EEXIST
        if arg == 0 or (arg != owner and names[arg] is None):
            return ESRCH
        self.cgroups.create(owner, arg)
        self.succeed()
        return 0

    def cgroup_remove(self, _object: int, _pool: int, owner: int, _size: int, _arg: int) -> int:
        """Remove a cgroup's directory (mem_cgroup_css_offline, memcg_reparent_objcgs)."""
        if not self.kernel.has_memcg:
            return EOPNOTSUPP
        cgroup = self.cgroups.names[owner]
        if cgroup is None:
            return ESRCH
        if cgroup.is_root:
            return EPERM
        if self.cgroups.has_child(cgroup):
            return EBUSY
        self.cgroups.remove(cgroup)
        self.succeed()
        return 0
