# SPDX-License-Identifier: GPL-2.0-only
"""The raw bytes that libFuzzer mutates: every string of them is a valid program.

Byte 0 is a header; 8-byte records follow, laid out as struct zsfuzz_op.  Each column goes through
a table that leaves valid values as they are and gives every other value a meaning, so that bytes
made by encode() are the wire form itself, and random bytes are still a sensible program.

The header decides which operations the program may have.  Swapping pages, creating and removing
cgroups and compacting all memory cost milliseconds, and pools and their files in debugfs are dear
too, so only headers 0xf0 to 0xff allow them.
"""

from dataclasses import dataclass

from zsfuzz.errors import BadProgram
from zsfuzz.program import CGROUP_OPS, Opcode
from zsmodel.wire import CGROUPS, NO_OWNER, POOLS

DEFAULT_LIMIT = 256  # operations

MARK = 0xF0  # a header with these bits set carries the flags below
WITH_POOLS = 1  # pool_create, pool_destroy and classes may occur, and p2 and p3 be used
WITH_CGROUPS = 2  # cgroup_create, cgroup_remove and compact_memory may occur
WIDE = 4  # sizes above 4351 may occur
WITH_SWAP = 8  # pages of processes may be swapped
ALL_FLAGS = WITH_POOLS | WITH_CGROUPS | WIDE | WITH_SWAP
COMMON = 0  # the header without any of them

POOL_OPS = (Opcode.POOL_CREATE, Opcode.POOL_DESTROY, Opcode.CLASSES)
CGROUP_TREE_OPS = (Opcode.CGROUP_CREATE, Opcode.CGROUP_REMOVE, Opcode.COMPACT_MEMORY)
SWAP_OPS = tuple(op for op in Opcode if op >= Opcode.PAGE_WRITE)
DEAR_OPS = CGROUP_TREE_OPS + SWAP_OPS

# How often a byte that is no opcode stands for an operation.
WEIGHTS = {
    Opcode.MALLOC: 110,
    Opcode.FREE: 45,
    Opcode.WRITE: 20,
    Opcode.COMPACT: 16,
    Opcode.MIGRATE: 14,
    Opcode.READ: 8,
    Opcode.LOCK_PAGE: 6,
    Opcode.READ_LOCK: 5,
    Opcode.FLUSH: 6,
    Opcode.FAIL_NEXT: 5,
    Opcode.SHRINK: 3,
    Opcode.STAT: 2,
    Opcode.MAY_ZSWAP: 2,
    Opcode.ZSWAP_MAX: 1,
}
SWAP_WEIGHTS = {
    Opcode.PAGE_WRITE: 60,
    Opcode.PAGE_OUT: 80,
    Opcode.PAGE_IN: 30,
    Opcode.PAGE_DROP: 15,
    Opcode.PAGE_EXIT: 3,
    Opcode.WRITEBACK: 6,
    Opcode.SWAP_COMPACT: 8,
    Opcode.STAT_FILES: 3,
}
POOL_WEIGHTS = (9, 4, 2, 1)


@dataclass(frozen=True)
class Tables:
    """Hold what one kind of header does to each column."""

    opcodes: bytes
    pools: bytes
    sizes: bytes  # their high bytes


def _spread(weights: dict[int, int], length: int) -> list[int]:
    # Interleaved, so that flipping a low bit of a byte changes the operation.
    due = dict.fromkeys(weights, 0.0)
    total = sum(weights.values())
    spread = []
    for _ in range(length):
        for value, weight in weights.items():
            due[value] += weight / total
        best = max(due, key=lambda value: due[value])
        due[best] -= 1
        spread.append(best)
    return spread


def _opcode_table(flags: int) -> bytes:
    banned: tuple[Opcode, ...] = () if flags & WITH_POOLS else POOL_OPS
    banned += () if flags & WITH_CGROUPS else CGROUP_TREE_OPS
    banned += () if flags & WITH_SWAP else SWAP_OPS
    weights: dict[int, int] = {int(op): weight for op, weight in WEIGHTS.items()}
    weights |= {int(op): 3 for op in POOL_OPS + CGROUP_TREE_OPS if op not in banned}
    weights |= {int(op): weight for op, weight in SWAP_WEIGHTS.items() if op not in banned}
    table = _spread(weights, 256)
    for op in Opcode:
        table[op] = Opcode.READ if op in banned else op
    return bytes(table)


def _pool_table(flags: int) -> bytes:
    # Without pool_create there is no p2 and no p3.
    count = POOLS if flags & WITH_POOLS else 2
    table = _spread(dict(enumerate(POOL_WEIGHTS[:count])), 256)
    table[:POOLS] = [pool % count for pool in range(POOLS)]
    return bytes(table)


# One byte in 32 that is no owner stands for "none".
_OWNERS = bytes(
    v if v <= NO_OWNER else NO_OWNER if v % 32 == 31 else v % CGROUPS for v in range(256)
)
# High byte of a size: 0 to 15 mostly, 16 (4096 to 4351 bytes) seldom.
_SIZES = bytes(v if v <= 16 else 16 if v % 64 == 63 else v % 16 for v in range(256))
_ANY = bytes(range(256))
_NAMELESS = bytes(op for op in Opcode if op not in CGROUP_OPS)


def _tables(flags: int) -> Tables:
    sizes = _ANY if flags & WIDE else _SIZES
    return Tables(_opcode_table(flags), _pool_table(flags), sizes)


_BY_FLAGS = [_tables(flags) for flags in range(ALL_FLAGS + 1)]
_BY_HEADER = tuple(_BY_FLAGS[h & ALL_FLAGS if h & MARK == MARK else COMMON] for h in range(256))


def decode(data: bytes, limit: int = DEFAULT_LIMIT) -> bytes:
    """Turn any bytes into wire records that the module accepts, at most `limit` of them.

    A trailing part of less than 8 bytes is ignored.  Columns that are valid already, as in what
    encode() made, are not written again: that is the fast path.
    """
    out = data[1 : 1 + (limit << 3)]
    rest = len(out) & 7
    if rest:
        out = out[:-rest]
    if not out:
        return b""
    tables = _BY_HEADER[data[0]]
    opcodes = out[0::8]
    fixed = opcodes.translate(tables.opcodes)
    pools = out[2::8]
    owners = out[3::8]
    sizes = out[5::8]
    if not (
        fixed == opcodes
        and pools == pools.translate(tables.pools)
        and owners == owners.translate(_OWNERS)
        and sizes == sizes.translate(tables.sizes)
    ):
        columns = bytearray(out)
        columns[0::8] = fixed
        columns[2::8] = pools.translate(tables.pools)
        columns[3::8] = owners.translate(_OWNERS)
        columns[5::8] = sizes.translate(tables.sizes)
        out = bytes(columns)
    if fixed.translate(None, _NAMELESS):
        return _name_cgroups(out, fixed)
    return out


def _name_cgroups(records: bytes, opcodes: bytes) -> bytes:
    # These need a cgroup, and cgroup_create a parent.
    out = bytearray(records)
    for opcode in sorted(CGROUP_OPS):
        at = opcodes.find(opcode)
        while at >= 0:
            out[at * 8 + 3] &= 7
            if opcode is Opcode.CGROUP_CREATE:
                out[at * 8 + 6] &= 7
                out[at * 8 + 7] = 0
            at = opcodes.find(opcode, at + 1)
    return bytes(out)


def header_for(wire: bytes) -> int:
    """Choose the least permissive header under which `wire` keeps all its operations."""
    opcodes = wire[0::8]
    pools = any(op in opcodes for op in POOL_OPS) or max(wire[2::8], default=0) > 1
    flags = WITH_POOLS if pools else 0
    flags |= WITH_CGROUPS if any(op in opcodes for op in CGROUP_TREE_OPS) else 0
    flags |= WITH_SWAP if any(op in opcodes for op in SWAP_OPS) else 0
    flags |= WIDE if max(wire[5::8], default=0) > 16 else 0
    return MARK | flags if flags else COMMON


def encode(wire: bytes, limit: int = DEFAULT_LIMIT) -> bytes:
    """Turn wire records into raw bytes for which decode() gives the same records back.

    Raises BadProgram for more than `limit` operations: decode() would cut them off.
    """
    if len(wire) > limit * 8:
        raise BadProgram(f"{len(wire) // 8} operations: raw bytes hold at most {limit}")
    return bytes((header_for(wire),)) + wire


def is_dear(data: bytes, wire: bytes) -> bool:
    """Tell whether raw bytes, and the program they stand for, take as long as 10,000 others."""
    if not data or data[0] & MARK != MARK:
        return False
    opcodes = wire[::8]
    return any(op in opcodes for op in DEAR_OPS)
