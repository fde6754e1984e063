# SPDX-License-Identifier: GPL-2.0-only
"""The records of kmod/zsfuzz_abi.h: formats, field names and constants."""

from dataclasses import dataclass
from struct import Struct
from typing import Final

OBJECTS: Final = 256
POOLS: Final = 4
CGROUPS: Final = 8
NO_OWNER: Final = 8
NONE8: Final = 0xFF
NONE16: Final = 0xFFFF
FOREIGN: Final = 0xFE
BAD_HEADER: Final = 0xFE
NO_LIMIT: Final = 0xFFFF  # of zswap_max
PATTERNS: Final = 16
PAGES: Final = 64  # of processes: v0..v63
ZSWAP_POOL: Final = 4  # in a snapshot
ZRAM_POOL: Final = 5
ON_DISK: Final = 0x8000  # in a length
MAX_OPS: Final = 1024

POOL_CREATE: Final = 0
POOL_DESTROY: Final = 1
MALLOC: Final = 2
WRITE: Final = 3
READ: Final = 4
FREE: Final = 5
COMPACT: Final = 6
MIGRATE: Final = 7
SHRINK: Final = 8
LOCK_PAGE: Final = 9
READ_LOCK: Final = 10
FLUSH: Final = 11
FAIL_NEXT: Final = 12
STAT: Final = 13
CGROUP_CREATE: Final = 14
CGROUP_REMOVE: Final = 15
CLASSES: Final = 16
ZSWAP_MAX: Final = 17
MAY_ZSWAP: Final = 18
COMPACT_MEMORY: Final = 19
PAGE_WRITE: Final = 20
PAGE_OUT: Final = 21
PAGE_IN: Final = 22
PAGE_DROP: Final = 23
PAGE_EXIT: Final = 24
WRITEBACK: Final = 25
SWAP_COMPACT: Final = 26
STAT_FILES: Final = 27

OPCODES: Final = (
    "pool_create",
    "pool_destroy",
    "malloc",
    "write",
    "read",
    "free",
    "compact",
    "migrate",
    "shrink",
    "lock_page",
    "read_lock",
    "flush",
    "fail_next",
    "stat",
    "cgroup_create",
    "cgroup_remove",
    "classes",
    "zswap_max",
    "may_zswap",
    "compact_memory",
    "page_write",
    "page_out",
    "page_in",
    "page_drop",
    "page_exit",
    "writeback",
    "swap_compact",
    "stat_files",
)

SNAP_POOL: Final = 1
SNAP_CLASS: Final = 2
SNAP_ZSPAGE: Final = 3
SNAP_OBJECT: Final = 4
SNAP_CGROUP: Final = 5
SNAP_END: Final = 6
SNAP_ROW: Final = 7
SNAP_PAGE: Final = 8
SNAP_EVENTS: Final = 9

# Where a page is (enum zsfuzz_whereabouts).
IN_MEMORY: Final = 0
IN_ZSWAP: Final = 1
ON_DEVICE: Final = 2
NOWHERE: Final = 3

# Operations whose `owner` is a cgroup and never "none".
NAME_CGROUP: Final = frozenset(
    (STAT, CGROUP_CREATE, CGROUP_REMOVE, ZSWAP_MAX, MAY_ZSWAP, PAGE_WRITE, PAGE_EXIT, STAT_FILES)
)
_NAMELESS: Final = bytes(op for op in range(len(OPCODES)) if op not in NAME_CGROUP)


@dataclass(frozen=True)
class Record:
    """Lay out one C structure: the struct module's codes, and a name for each."""

    codes: str
    fields: tuple[str, ...]

    @property
    def struct(self) -> Struct:
        """Compile the layout, little-endian and without hidden padding."""
        return Struct("<" + self.codes)

    @property
    def size(self) -> int:
        """Count the bytes of one record."""
        return self.struct.size


def _record(codes: str, fields: str) -> Record:
    return Record(codes, tuple(fields.split()))


RECORDS: Final = {
    "zsfuzz_op": _record("BBBBHH", "op object pool owner size arg"),
    "zsfuzz_result": _record(
        "hHBBBBBBHHHHH",
        "ret zspage class index owner tail group tag_bits inuse tags value faults zspages",
    ),
    "zsfuzz_snap_pool": _record("BBBBHH", "kind pool aware pad pages compacted"),
    "zsfuzz_snap_class": _record("BBHHH", "kind class bad_groups allocated inuse"),
    "zsfuzz_snap_row": _record(
        "BB" + "H" * 17,
        "kind class size g10 g20 g30 g40 g50 g60 g70 g80 g90 g99 g100 "
        "allocated used pages chain freeable",
    ),
    "zsfuzz_snap_zspage": _record(
        "BBHHHHBB", "kind group zspage inuse free_bytes owner_bytes pages pad"
    ),
    "zsfuzz_snap_object": _record("BBBBHH", "kind object index pattern zspage length"),
    "zsfuzz_snap_page": _record("BBBBHHBB", "kind page where owner zspage length index pad"),
    "zsfuzz_snap_events": _record("BBHHH", "kind cgroup zswpin zswpout zswpwb"),
    "zsfuzz_snap_cgroup": _record("BBHIHH", "kind cgroup zswapped zswap incompressible zswap_max"),
    "zsfuzz_snap_end": _record("BBHI", "kind left pad zswap"),
}

SNAPSHOT_KINDS: Final = {
    SNAP_POOL: "zsfuzz_snap_pool",
    SNAP_CLASS: "zsfuzz_snap_class",
    SNAP_ZSPAGE: "zsfuzz_snap_zspage",
    SNAP_OBJECT: "zsfuzz_snap_object",
    SNAP_CGROUP: "zsfuzz_snap_cgroup",
    SNAP_END: "zsfuzz_snap_end",
    SNAP_ROW: "zsfuzz_snap_row",
    SNAP_PAGE: "zsfuzz_snap_page",
    SNAP_EVENTS: "zsfuzz_snap_events",
}

OP: Final = RECORDS["zsfuzz_op"].struct


class Packer:
    """Pack records of one kind, any number of them at once."""

    def __init__(self, name: str) -> None:
        self.codes = RECORDS[name].codes
        self.fields = len(RECORDS[name].fields)
        self.structs: dict[int, Struct] = {}  # by number of records

    def pack(self, values: list[int]) -> bytes:
        """Pack the values of all records, one after the other."""
        count = len(values) // self.fields
        struct = self.structs.get(count)
        if struct is None:
            struct = self.structs[count] = Struct("<" + self.codes * count)
        return struct.pack(*values)


def check_program(ops: bytes) -> None:
    """Refuse what the module refuses; ValueError names the operation and the field."""
    if len(ops) % OP.size:
        raise ValueError(f"program of {len(ops)} bytes: pass whole records of {OP.size} bytes")
    if len(ops) > MAX_OPS * OP.size:
        raise ValueError(f"program of {len(ops) // OP.size} operations: pass at most {MAX_OPS}")
    opcodes = ops[0 :: OP.size]
    if (
        max(opcodes, default=0) < len(OPCODES)
        and max(ops[2 :: OP.size], default=0) < POOLS
        and max(ops[3 :: OP.size], default=0) <= NO_OWNER
        and not opcodes.translate(None, _NAMELESS)
    ):
        return  # as most of them: column by column is the fast way
    for number, (op, _, pool, owner, _, arg) in enumerate(OP.iter_unpack(ops)):
        _check_field(number, "op", op, len(OPCODES) - 1)
        _check_field(number, "pool", pool, POOLS - 1)
        _check_field(number, "owner", owner, CGROUPS - 1 if op in NAME_CGROUP else NO_OWNER)
        if op == CGROUP_CREATE:
            _check_field(number, "arg", arg, CGROUPS - 1)


def _check_field(number: int, field: str, value: int, highest: int) -> None:
    if value > highest:
        raise ValueError(f"operation {number}: {field} is {value}: use 0 to {highest}")
