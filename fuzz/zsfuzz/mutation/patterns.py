# SPDX-License-Identifier: GPL-2.0-only
"""Blocks of operations that mean something together, as raw records, for the mutator to insert.

Every function takes the random numbers, the sizes and a Site, and gives records of 8 bytes.
"""

from collections.abc import Callable
from typing import NamedTuple

from zsfuzz.mutation.lcg import Lcg
from zsfuzz.mutation.sizes import SizeTable
from zsfuzz.program import Opcode
from zsmodel.wire import NO_OWNER

MALLOC, WRITE, READ, FREE = Opcode.MALLOC, Opcode.WRITE, Opcode.READ, Opcode.FREE
COMPACT, MIGRATE, SHRINK, FLUSH = Opcode.COMPACT, Opcode.MIGRATE, Opcode.SHRINK, Opcode.FLUSH
LOCK_PAGE, READ_LOCK, FAIL_NEXT = Opcode.LOCK_PAGE, Opcode.READ_LOCK, Opcode.FAIL_NEXT

LONGEST_FILL = 28  # operations
_NAMES = bytes(range(256)) * 2
# Who owns the objects of a block, in turn: one cgroup, two, or some of them nobody.
_CYCLES = tuple(
    (bytes(cycle) * 256)[:256]
    for cycle in (
        *((c,) for c in (1, 2, 3, 4, 1, 2, 5, 0)),
        *((a, b) for a in (1, 3) for b in (2, 4)),
        (1, NO_OWNER),
        (1, 2, 3),
        (NO_OWNER,),
        (2, 2, NO_OWNER, 6),
    )
)
_POOLS = (0,) * 12 + (1,) * 4  # the others must be created first


class Site(NamedTuple):
    """Say where a block goes, and which names it may use."""

    live: int  # an object that is probably live
    run: bytes  # the objects that were made one after the other, from `live` on
    fresh: int
    room: int  # operations that still fit


def record(
    op: int, name: int = 0, pool: int = 0, owner: int = 0, size: int = 0, arg: int = 0
) -> bytes:
    """Pack one operation."""
    return bytes((op, name, pool, owner, size & 255, size >> 8, arg, 0))


def draw_pool(rng: Lcg) -> int:
    """Draw a pool, p0 mostly."""
    return _POOLS[rng.below(16)]


def draw_owner(rng: Lcg) -> int:
    """Draw an owner as they are in blocks: seldom none."""
    return _CYCLES[rng.below(len(_CYCLES))][rng.below(4)]


def mallocs(rng: Lcg, sizes: SizeTable, site: Site, pool: int) -> bytes:
    """Fill one class: some zspages' worth of objects, one more or one less."""
    size = sizes.draw(rng)
    count = size.objs * (1 + rng.below(3)) + rng.below(3) - 1
    top = site.room if rng.below(32) == 0 else LONGEST_FILL
    if count > top:
        count = 2 + rng.below(top)
    count = max(1, min(count, site.room))
    block = bytearray(record(MALLOC, 0, pool, 0, size.payload, rng.below(16)) * count)
    block[1::8] = _NAMES[site.fresh : site.fresh + count]
    block[3::8] = _CYCLES[rng.below(len(_CYCLES))][:count]
    return bytes(block)


def on_each(op: int, names: bytes, arg: int = 0) -> bytes:
    """Apply one operation to each of the objects in turn."""
    block = bytearray(record(op, arg=arg) * len(names))
    block[1::8] = names
    return bytes(block)


def fill(rng: Lcg, sizes: SizeTable, site: Site) -> bytes:
    """Fill a class, and no more."""
    return mallocs(rng, sizes, site, draw_pool(rng))


def fill_and_compact(rng: Lcg, sizes: SizeTable, site: Site) -> bytes:
    """Fill a class, free every k-th object, compact."""
    pool = draw_pool(rng)
    block = mallocs(rng, sizes, site, pool)
    step = 2 + rng.below(3)
    names = block[1::8][rng.below(step) :: step]
    return block + on_each(FREE, names) + record(COMPACT, pool=pool)


def fill_and_reuse(rng: Lcg, sizes: SizeTable, site: Site) -> bytes:
    """Fill a class, free some in or against the order, and take the slots up again."""
    block = mallocs(rng, sizes, site, draw_pool(rng))
    names = block[1::8][-1 - rng.below(6) :]
    again = bytearray(block[-8 * len(names) :])
    again[3::8] = _CYCLES[rng.below(len(_CYCLES))][: len(names)]
    freed = names[::-1] if rng.below(2) else names
    return block + on_each(FREE, freed) + bytes(again) + on_each(FREE, names[:1])


def deferred_free(rng: Lcg, sizes: SizeTable, site: Site) -> bytes:
    """Free the last object of a zspage under a page lock; maybe take the zspage up again."""
    pool = draw_pool(rng)
    size = sizes.draw(rng)
    name = site.fresh & 255
    malloc = record(MALLOC, name, pool, draw_owner(rng), size.payload, rng.below(16))
    block = malloc + record(LOCK_PAGE, name, arg=rng.below(size.pages)) + record(FREE, name)
    if rng.below(2):
        block += malloc
    return block + record(FLUSH, pool=pool) if rng.below(4) else block


def locked_free(rng: Lcg, _sizes: SizeTable, site: Site) -> bytes:
    """Free a live object while a page of its zspage is locked."""
    return record(LOCK_PAGE, site.live, arg=rng.below(2)) + record(FREE, site.live)


def read_locked(rng: Lcg, _sizes: SizeTable, site: Site) -> bytes:
    """Compact, migrate or free under a reader."""
    pool = draw_pool(rng)
    other = (
        record(COMPACT, pool=pool),
        record(MIGRATE, site.live),
        record(FREE, site.live),
        record(SHRINK, pool=pool),
    )[rng.below(4)]
    return record(READ_LOCK, site.live) + other + record(FLUSH, pool=pool)


def failed_malloc(rng: Lcg, sizes: SizeTable, site: Site) -> bytes:
    """Fail each allocation that a malloc may make: handle, zspage, pages, owners, for each page."""
    size = sizes.draw(rng)
    malloc = record(MALLOC, site.fresh & 255, draw_pool(rng), draw_owner(rng), size.payload)
    first = record(FAIL_NEXT, arg=1 + rng.below(2 * size.pages + 3)) + malloc
    return first + malloc if rng.below(2) else first


def migrate_pages(rng: Lcg, sizes: SizeTable, site: Site) -> bytes:
    """Migrate each page of a zspage that has objects."""
    size = sizes.draw(rng)
    name = site.live
    block = b""
    if rng.below(2):
        name = site.fresh & 255
        block = record(MALLOC, name, draw_pool(rng), draw_owner(rng), size.payload, rng.below(16))
    pages = range(size.pages) if rng.below(2) else range(size.pages - 1, -1, -1)
    return block + b"".join([record(MIGRATE, name, arg=page) for page in pages])


def free_run(rng: Lcg, _sizes: SizeTable, site: Site) -> bytes:
    """Free objects that were made together, maybe every second or third one only."""
    names = site.run[:: 1 + rng.below(3)]
    return on_each(FREE, names[::-1] if rng.below(4) == 0 else names)


def write_run(rng: Lcg, _sizes: SizeTable, site: Site) -> bytes:
    """Give objects that were made together to other owners."""
    count = min(len(site.run), 1 + rng.below(8))
    block = bytearray(record(WRITE, arg=rng.below(16)) * count)
    block[1::8] = site.run[:count]
    block[3::8] = _CYCLES[rng.below(len(_CYCLES))][:count]
    return bytes(block)


def rewrite(rng: Lcg, sizes: SizeTable, site: Site) -> bytes:
    """Write an object again: another owner, none, another length."""
    length = 0 if rng.below(2) else sizes.draw(rng).payload
    block = record(WRITE, site.live, 0, draw_owner(rng), length, rng.below(16))
    return block + record((READ, FREE, MIGRATE, READ)[rng.below(4)], site.live, arg=rng.below(2))


def squeeze(rng: Lcg, _sizes: SizeTable, _site: Site) -> bytes:
    """Compact or shrink a pool, then do it again: the second time must find nothing."""
    pool = draw_pool(rng)
    once = record(SHRINK if rng.below(4) == 0 else COMPACT, pool=pool)
    return once + once if rng.below(4) == 0 else once


def statistics(rng: Lcg, _sizes: SizeTable, _site: Site) -> bytes:
    """Ask for a cgroup's charges in mid-program."""
    return record(Opcode.STAT, owner=rng.below(8))


def limits(rng: Lcg, _sizes: SizeTable, _site: Site) -> bytes:
    """Limit a cgroup's zswap, to nothing, to little or not at all, and ask whether it is full."""
    limit = bytearray(record(Opcode.ZSWAP_MAX, owner=1 + rng.below(6), arg=rng.below(8)))
    if rng.below(4) == 0:
        limit[6:8] = b"\xff\xff"
    ask = record(Opcode.MAY_ZSWAP, owner=rng.below(7))
    return bytes(limit) + ask if rng.below(4) else ask


def classes_file(rng: Lcg, _sizes: SizeTable, _site: Site) -> bytes:
    """Read a pool's file in debugfs (dear)."""
    return record(Opcode.CLASSES, pool=draw_pool(rng))


def whole_memory(rng: Lcg, sizes: SizeTable, site: Site) -> bytes:
    """Compact all memory while a zspage is half empty, is read or has a page locked (dear)."""
    block = mallocs(rng, sizes, site._replace(room=max(1, site.room - 3)), draw_pool(rng))
    held = (b"", b"", record(LOCK_PAGE, block[1]), record(READ_LOCK, block[1]))[rng.below(4)]
    return block + record(FREE, block[-7]) + held + record(Opcode.COMPACT_MEMORY)


# Cgroups that are removed one after the other, the owner first: c4 is in c3 in c1, c5 and c6 in c2.
_CHAINS = ((4,), (5,), (6,), (7,), (7,), (4, 3), (4, 3), (6, 5, 2))


def remove_cgroup(rng: Lcg, sizes: SizeTable, site: Site) -> bytes:
    """Remove a cgroup that owns an object, and free the object or give it to another (dear).

    Its parents may go as well, one after the other: the object goes from one to the next.
    """
    chain = _CHAINS[rng.below(len(_CHAINS))]
    made = record(Opcode.CGROUP_CREATE, owner=7, arg=1 + rng.below(7))
    block = made if chain[0] == 7 else b""
    size = sizes.draw(rng)
    name = site.fresh & 255
    block += record(MALLOC, name, 0, chain[0], size.payload)
    block += b"".join([record(Opcode.CGROUP_REMOVE, owner=cgroup) for cgroup in chain])
    tail = (record(FREE, name), record(WRITE, name, owner=draw_owner(rng)), record(COMPACT), b"")
    return block + tail[rng.below(4)]


def another_pool(rng: Lcg, sizes: SizeTable, site: Site) -> bytes:
    """Make a pool, use it, and destroy it (dear)."""
    pool = 2 + rng.below(2)
    block = record(Opcode.POOL_CREATE, pool=pool, arg=rng.below(2))
    block += mallocs(rng, sizes, site._replace(room=max(1, site.room - 2)), pool)
    if rng.below(2):
        block += on_each(FREE, block[9::8])
    return block + record(Opcode.POOL_DESTROY, pool=pool)


Pattern = Callable[[Lcg, SizeTable, Site], bytes]

# How often each block is inserted, of 64.
_SHARES: tuple[tuple[Pattern, int], ...] = (
    (fill, 7),
    (fill_and_compact, 7),
    (fill_and_reuse, 5),
    (free_run, 9),
    (write_run, 3),
    (deferred_free, 5),
    (locked_free, 3),
    (read_locked, 5),
    (failed_malloc, 5),
    (migrate_pages, 5),
    (rewrite, 3),
    (squeeze, 5),
    (statistics, 1),
    (limits, 1),
)
PATTERNS: tuple[Pattern, ...] = tuple(p for p, share in _SHARES for _ in range(share))
