# SPDX-License-Identifier: GPL-2.0-only
"""The canonical snapshot: the state after the last operation, as records."""

from collections.abc import Iterable, Mapping

from zsmodel.cgroups import Cgroup
from zsmodel.pool import Pool
from zsmodel.swap import Page, Swap
from zsmodel.wire import (
    NONE8,
    NONE16,
    RECORDS,
    SNAP_CGROUP,
    SNAP_CLASS,
    SNAP_END,
    SNAP_EVENTS,
    SNAP_OBJECT,
    SNAP_PAGE,
    SNAP_POOL,
    SNAP_ROW,
    SNAP_ZSPAGE,
    Packer,
)
from zsmodel.zspage import Object, Zspage

POOL = RECORDS["zsfuzz_snap_pool"].struct
CLASS = RECORDS["zsfuzz_snap_class"].struct
ROW = RECORDS["zsfuzz_snap_row"].struct
ROW_FIELDS = len(RECORDS["zsfuzz_snap_row"].fields)
ZSPAGE = RECORDS["zsfuzz_snap_zspage"].struct
OBJECTS = Packer("zsfuzz_snap_object")
PAGES = Packer("zsfuzz_snap_page")
CGROUPS = Packer("zsfuzz_snap_cgroup")
EVENTS = Packer("zsfuzz_snap_events")
END = RECORDS["zsfuzz_snap_end"].struct.pack(SNAP_END, 0, 0, 0)  # nothing is left behind


def pool_records(number: int, pool: Pool) -> list[bytes]:
    """Record a pool, its classes by index, their zspages from the heads of their lists."""
    records = [POOL.pack(SNAP_POOL, number, pool.asked, 0, pool.pages, pool.compacted)]
    for index in sorted(pool.classes):
        size_class = pool.classes[index]
        if size_class.allocated:
            counts = size_class.allocated, size_class.inuse
            records.append(CLASS.pack(SNAP_CLASS, index, 0, *counts))
            records += [zspage_record(z, pool.aware) for z in size_class.zspages()]
    if pool.show_rows:
        records += class_rows(pool)
    return records


def class_rows(pool: Pool) -> list[bytes]:
    """Record what the classes file has of the classes in use, then the totals.

    That file leaves out zspages of group 0 (zs_stats_size_show).
    """
    totals = [0] * (ROW_FIELDS - 3)
    rows: list[bytes] = []
    for index in sorted(pool.classes):
        size_class = pool.classes[index]
        if not size_class.allocated:
            continue
        pages = size_class.allocated // size_class.objs * size_class.pages
        values = [len(zspages) for zspages in size_class.lists[1:]]
        values += size_class.allocated, size_class.inuse, pages
        freeable = size_class.can_compact()
        rows.append(ROW.pack(SNAP_ROW, index, size_class.size, *values, size_class.pages, freeable))
        values += 0, freeable
        totals = [total + value for total, value in zip(totals, values, strict=True)]
    return [*rows, ROW.pack(SNAP_ROW, NONE8, 0, *totals)] if rows else []


def zspage_record(zspage: Zspage, aware: bool) -> bytes:
    """Record a zspage, its free list, its pages' memcg_data and, in an aware pool, its owners."""
    size_class = zspage.size_class
    if aware:
        states = size_class.page_states
        owners = size_class.entries.translate(zspage.owners.ljust(256))
        if size_class.blank:
            owners = _blanked(owners, size_class.blank)
    else:
        states, owners = bytes(size_class.pages), b""
    free = zspage.free[::-1]
    tail = free + states + owners
    head = ZSPAGE.pack(
        SNAP_ZSPAGE,
        zspage.group,
        zspage.number,
        zspage.inuse,
        len(free),
        len(owners),
        len(states),
        0,
    )
    return head + tail + bytes(-len(tail) % 4)


def _blanked(owners: bytes, blank: list[int]) -> bytes:
    """Empty the entries that a profile leaves so (span-entries=first)."""
    entries = bytearray(owners)
    for at in blank:
        entries[at] = NONE8
    return bytes(entries)


def object_records(live: Mapping[int, Object]) -> bytes:
    """Record each live object; its contents are what was written last (zs_obj_read_begin)."""
    values: list[int] = []
    for number in sorted(live):
        obj = live[number]
        values += (SNAP_OBJECT, number, obj.index, obj.pattern, obj.zspage.number, obj.length)
    return OBJECTS.pack(values)


def page_records(pages: Iterable[Page]) -> bytes:
    """Record each page of a process, and the object that it takes up."""
    values: list[int] = []
    for page in pages:
        values += SNAP_PAGE, page.number, page.where
        if page.stored:
            obj = page.object
            owner = obj.zspage.owners[obj.index]
            values += owner, obj.zspage.number, page.length, obj.index, 0
        else:
            values += NONE8, NONE16, 0, NONE8, 0
    return PAGES.pack(values)


def cgroup_records(cgroups: Iterable[Cgroup | None], incompressibles: bool) -> bytes:
    """Record each cgroup with its descendants' charges.

    Without `incompressibles` none can count as incompressible.
    """
    values: list[int] = []
    for cgroup in cgroups:
        if cgroup and cgroup.number:
            zswap, zswapped = cgroup.total()
            incompressible = cgroup.total_incompressible() if incompressibles else 0
            values += SNAP_CGROUP, cgroup.number, zswapped, zswap, incompressible, cgroup.zswap_max
    return CGROUPS.pack(values)


def event_records(cgroups: Iterable[Cgroup | None], swap: Swap) -> bytes:
    """Record what zswap did for each cgroup, the root included, and for its descendants."""
    values: list[int] = []
    for cgroup in cgroups:
        if cgroup:
            values += SNAP_EVENTS, cgroup.number, *swap.events_of(cgroup)
    return EVENTS.pack(values)
