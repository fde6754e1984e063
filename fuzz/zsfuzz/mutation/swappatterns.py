# SPDX-License-Identifier: GPL-2.0-only
"""Blocks of operations on pages of processes, as raw records, for the mutator to insert.

Each takes milliseconds in the guest, and so these are inserted seldom.  Pages are few and of few
lengths, so that their objects share zspages and compaction finds something to move.
"""

from collections.abc import Callable

from zsfuzz.mutation.lcg import Lcg
from zsfuzz.mutation.patterns import Site, record
from zsfuzz.program import Opcode
from zsmodel.wire import PAGES, PATTERNS

PAGE_WRITE, PAGE_OUT, PAGE_IN = Opcode.PAGE_WRITE, Opcode.PAGE_OUT, Opcode.PAGE_IN
PAGE_DROP, WRITEBACK, STAT_FILES = Opcode.PAGE_DROP, Opcode.WRITEBACK, Opcode.STAT_FILES

# Cgroups that can have processes (no children), the root, and now and then one that cannot.
_HOMES = (4, 5, 6, 4, 5, 6, 0, 1)
_LIMITED = (1, 2, 3, 4, 5, 6)
_APART = range(PAGES - 28, PAGES - 16)


def some_pages(rng: Lcg) -> range:
    """Draw neighbouring pages, the first ones mostly."""
    first = rng.below(PAGES - 12) if rng.below(4) == 0 else rng.below(4)
    return range(first, first + 1 + rng.below(8))


def on_pages(op: int, pages: range, arg: int = 0) -> bytes:
    """Apply one operation to each of the pages in turn."""
    return b"".join([record(op, page, arg=arg) for page in pages])


def write_and_swap(rng: Lcg, _site: Site) -> bytes:
    """Write pages of one or two cgroups, alike or not, and swap them out."""
    pages = some_pages(rng)
    homes = _HOMES[rng.below(len(_HOMES))], _HOMES[rng.below(len(_HOMES))]
    first, step = rng.below(PATTERNS), rng.below(2)
    written = [
        record(PAGE_WRITE, page, owner=homes[page & 1], arg=(first + page * step) % PATTERNS)
        for page in pages
    ]
    return b"".join(written) + on_pages(PAGE_OUT, pages)


def swap_out(rng: Lcg, _site: Site) -> bytes:
    """Swap pages out that were written earlier."""
    return on_pages(PAGE_OUT, some_pages(rng))


def take_in(rng: Lcg, _site: Site) -> bytes:
    """Fault pages in, drop them, or write them anew; every second one only, maybe."""
    pages = some_pages(rng)[:: 1 + rng.below(2)]
    op = (PAGE_IN, PAGE_IN, PAGE_DROP, PAGE_WRITE)[rng.below(4)]
    if op == PAGE_WRITE:
        home, pattern = _HOMES[rng.below(len(_HOMES))], rng.below(PATTERNS)
        return b"".join([record(op, page, owner=home, arg=pattern) for page in pages])
    return on_pages(op, pages, rng.below(2) if op == PAGE_IN else 0)


def end_process(rng: Lcg, _site: Site) -> bytes:
    """End a cgroup's process, with all that it has swapped."""
    return record(Opcode.PAGE_EXIT, owner=_HOMES[rng.below(len(_HOMES))])


def write_back(rng: Lcg, _site: Site) -> bytes:
    """Write all to the disk; maybe fault some in from there and swap them again."""
    block = record(WRITEBACK)
    if rng.below(2):
        pages = some_pages(rng)
        block += on_pages(PAGE_IN, pages) + on_pages(PAGE_OUT, pages)
    return block


def compact_swap(rng: Lcg, _site: Site) -> bytes:
    """Compact zswap's pool or the disk's."""
    return record(Opcode.SWAP_COMPACT, arg=rng.below(2))


def limit(rng: Lcg, _site: Site) -> bytes:
    """Limit a cgroup's zswap to nothing or little, so that pages go to the disk, or not at all."""
    owner = _LIMITED[rng.below(len(_LIMITED))]
    block = bytearray(record(Opcode.ZSWAP_MAX, owner=owner, arg=rng.below(4)))
    if rng.below(4) == 0:
        block[6:8] = b"\xff\xff"
    return bytes(block)


def swap_at_limit(rng: Lcg, _site: Site) -> bytes:
    """Limit a cgroup's zswap to nothing or a page, then swap pages that are its own."""
    home = 4 + rng.below(3)
    pages, pattern = some_pages(rng), rng.below(PATTERNS)
    block = record(Opcode.ZSWAP_MAX, owner=home, arg=rng.below(2))
    block += b"".join([record(PAGE_WRITE, page, owner=home, arg=pattern) for page in pages])
    return block + on_pages(PAGE_OUT, pages)


def press_limit(rng: Lcg, _site: Site) -> bytes:
    """Ask for more than a limit of nothing so often that what is tried one cgroup at a time shows.

    Its pages are no other block's, so that what those have in swap is there to be moved.
    """
    home, pattern = 4 + rng.below(3), rng.below(PATTERNS)
    block = b"".join([record(PAGE_WRITE, page, owner=home, arg=pattern) for page in _APART])
    return record(Opcode.ZSWAP_MAX, owner=home) + 2 * (block + on_pages(PAGE_OUT, _APART))


def read_files(rng: Lcg, _site: Site) -> bytes:
    """Read a cgroup's files."""
    return record(STAT_FILES, owner=1 + rng.below(6))


def remove_owner(rng: Lcg, site: Site) -> bytes:
    """Swap a page and remove its cgroup; then fault the page in, drop it or write it back."""
    page, home = site.live % PAGES, 4 + rng.below(3)
    block = record(PAGE_WRITE, page, owner=home, arg=2 + rng.below(PATTERNS - 2))
    block += record(PAGE_OUT, page) + record(Opcode.CGROUP_REMOVE, owner=home)
    return block + record((PAGE_IN, PAGE_DROP, WRITEBACK, PAGE_OUT)[rng.below(4)], page)


SwapPattern = Callable[[Lcg, Site], bytes]

# How often each block is inserted, of 32.  Where cgroups may not be removed, that is a read.
_SHARES: tuple[tuple[SwapPattern, int], ...] = (
    (write_and_swap, 9),
    (swap_out, 3),
    (take_in, 7),
    (end_process, 1),
    (write_back, 3),
    (compact_swap, 2),
    (limit, 1),
    (swap_at_limit, 2),
    (press_limit, 1),
    (read_files, 1),
    (remove_owner, 2),
)
SWAP_PATTERNS: tuple[SwapPattern, ...] = tuple(p for p, share in _SHARES for _ in range(share))


def swap_block(rng: Lcg, site: Site) -> bytes:
    """Make one block."""
    return SWAP_PATTERNS[rng.below(len(SWAP_PATTERNS))](rng, site)


def swap_program(rng: Lcg, site: Site) -> bytes:
    """Make a few blocks that begin with pages in swap."""
    blocks = [swap_block(rng, site) for _ in range(2 + rng.below(6))]
    return write_and_swap(rng, site) + b"".join(blocks)
