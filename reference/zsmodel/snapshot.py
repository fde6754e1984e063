# SPDX-License-Identifier: GPL-2.0-only
"""The canonical snapshot: the state after the last operation, as records."""

from collections.abc import Iterable, Mapping

from zsmodel.cgroups import Cgroup
from zsmodel.pool import Pool
from zsmodel.wire import (
    RECORDS,
    SNAP_CGROUP,
    SNAP_CLASS,
    SNAP_END,
    SNAP_OBJECT,
    SNAP_POOL,
    SNAP_ZSPAGE,
    Packer,
)
from zsmodel.zspage import Object, Zspage

POOL = RECORDS["zsfuzz_snap_pool"].struct
CLASS = RECORDS["zsfuzz_snap_class"].struct
ZSPAGE = RECORDS["zsfuzz_snap_zspage"].struct
OBJECTS = Packer("zsfuzz_snap_object")
CGROUPS = Packer("zsfuzz_snap_cgroup")
END = RECORDS["zsfuzz_snap_end"].struct.pack(SNAP_END, 0, 0, 0)  # nothing is left behind


def pool_records(number: int, pool: Pool) -> list[bytes]:
    """Record a pool, its classes by index, their zspages from the heads of their lists."""
    records = [POOL.pack(SNAP_POOL, number, pool.aware, 0, pool.pages, pool.compacted)]
    for index in sorted(pool.classes):
        size_class = pool.classes[index]
        if size_class.allocated:
            counts = size_class.allocated, size_class.inuse
            records.append(CLASS.pack(SNAP_CLASS, index, 0, *counts))
            records += [zspage_record(z, pool.aware) for z in size_class.zspages()]
    return records


def zspage_record(zspage: Zspage, aware: bool) -> bytes:
    """Record a zspage, its free list and, in an aware pool, its owners."""
    owners = zspage.owners if aware else b""
    tail = zspage.free[::-1] + owners
    head = ZSPAGE.pack(
        SNAP_ZSPAGE, zspage.group, zspage.number, zspage.inuse, 0, len(zspage.free), len(owners)
    )
    return head + tail + bytes(-len(tail) % 4)


def object_records(live: Mapping[int, Object]) -> bytes:
    """Record each live object; its contents are what was written last (zs_obj_read_begin)."""
    values: list[int] = []
    for number in sorted(live):
        obj = live[number]
        values += (SNAP_OBJECT, number, obj.index, obj.pattern, obj.zspage.number, obj.length)
    return OBJECTS.pack(values)


def cgroup_records(cgroups: Iterable[Cgroup | None]) -> bytes:
    """Record each cgroup with its descendants' charges."""
    values: list[int] = []
    for cgroup in cgroups:
        if cgroup and cgroup.number:
            zswap, zswapped = cgroup.total()
            values += (SNAP_CGROUP, cgroup.number, zswapped, zswap)
    return CGROUPS.pack(values)


def finish(records: list[bytes]) -> bytes:
    """Append the end record and padding; `records` are all that came before it."""
    data = b"".join(records) + END
    return data + bytes(-len(data) % 8)
