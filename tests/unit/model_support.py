# SPDX-License-Identifier: GPL-2.0-only
"""What tests of the model share: programs in short, answers as dictionaries."""

import random
from collections.abc import Iterator
from typing import Any

from zsmodel import Kernel, Model, wire

ZSPAGE = Kernel("zspage")
ZPDESC = Kernel("zpdesc")
STOCK = Kernel("stock")
NOTHING = {
    "ret": 0,
    "zspage": wire.NONE16,
    "class": wire.NONE8,
    "index": wire.NONE8,
    "owner": wire.NONE8,
    "tail": wire.NONE8,
    "group": wire.NONE8,
    "tag_bits": 0,
    "inuse": 0,
    "tags": 0,
    "value": wire.NONE16,
    "faults": wire.NONE16,
    "zspages": 0,
}


def op(
    name: str, obj: int = 0, pool: int = 0, owner: int = wire.NO_OWNER, size: int = 0, arg: int = 0
) -> bytes:
    """One operation as a wire record."""
    return wire.OP.pack(wire.OPCODES.index(name), obj, pool, owner, size, arg)


def malloc(
    obj: int, size: int, owner: int = wire.NO_OWNER, pool: int = 0, pattern: int = 0
) -> bytes:
    """zs_malloc(), and zs_obj_write() if there is an owner."""
    return op("malloc", obj, pool, owner, size, pattern)


def fill(first: int, count: int, size: int, owner: int = wire.NO_OWNER, pool: int = 0) -> bytes:
    """`count` objects from o<first> on."""
    return b"".join(malloc(first + i, size, owner, pool) for i in range(count))


def free(*objects: int) -> bytes:
    """Free objects in this order."""
    return b"".join(op("free", obj) for obj in objects)


def fields(record: str, data: bytes) -> dict[str, int]:
    """One record's values by field."""
    layout = wire.RECORDS[record]
    return dict(zip(layout.fields, layout.struct.unpack(data[: layout.size]), strict=True))


def split(data: bytes, ops: int) -> tuple[list[dict[str, int]], list[dict[str, Any]]]:
    """Results and snapshot records of an answer to `ops` operations."""
    size = wire.RECORDS["zsfuzz_result"].size
    results = [fields("zsfuzz_result", data[i * size :]) for i in range(ops)]
    return results, list(_records(data[ops * size :]))


def _records(data: bytes) -> Iterator[dict[str, Any]]:
    at = 0
    while at < len(data) and data[at]:
        name = wire.SNAPSHOT_KINDS[data[at]]
        record: dict[str, Any] = fields(name, data[at:])
        at += wire.RECORDS[name].size
        if name == "zsfuzz_snap_zspage":
            states = at + record["free_bytes"]
            record["free"] = list(data[at:states])
            owners = states + record["pages"]
            record["page_states"] = list(data[states:owners])
            record["owners"] = list(data[owners : owners + record["owner_bytes"]])
            end = owners + record["owner_bytes"]
            at = end + -(end - at) % 4
        yield record
    assert not any(data[at:])


class Answer:
    """A model's answer to a program, taken apart."""

    def __init__(self, program: bytes, model: Model | None = None, **run: Any) -> None:
        self.ops = len(program) // wire.OP.size
        self.data = (model or Model(ZSPAGE)).run(program, **run)
        assert len(self.data) % 8 == 0
        self.results, self.snapshot = split(self.data, self.ops)

    def of(self, kind: int) -> list[dict[str, Any]]:
        """The snapshot's records of one kind."""
        return [record for record in self.snapshot if record["kind"] == kind]

    @property
    def rets(self) -> list[int]:
        """Each operation's return value."""
        return [result["ret"] for result in self.results]

    @property
    def pages(self) -> int:
        """The pages of all pools at the end."""
        return sum(pool["pages"] for pool in self.of(wire.SNAP_POOL))

    @property
    def last(self) -> dict[str, int]:
        """The last operation's result."""
        return self.results[-1]

    @property
    def lists(self) -> list[tuple[int, int, int]]:
        """(group, zspage, inuse) of every zspage in the snapshot's order."""
        return [(z["group"], z["zspage"], z["inuse"]) for z in self.of(wire.SNAP_ZSPAGE)]

    @property
    def charges(self) -> dict[int, tuple[int, int]]:
        """Bytes and objects by cgroup."""
        return {c["cgroup"]: (c["zswap"], c["zswapped"]) for c in self.of(wire.SNAP_CGROUP)}


SIZES = (40, 88, 1352, 2000, 3300, 4096, 0, 5000)
WEIGHTS = {
    "malloc": 40,
    "free": 28,
    "write": 6,
    "read": 4,
    "compact": 3,
    "migrate": 3,
    "shrink": 1,
    "lock_page": 3,
    "read_lock": 1,
    "flush": 2,
    "fail_next": 2,
    "stat": 1,
    "cgroup_create": 2,
    "cgroup_remove": 2,
    "pool_create": 1,
    "pool_destroy": 1,
    "classes": 1,
    "zswap_max": 1,
    "may_zswap": 1,
    "compact_memory": 1,
}


def random_program(seed: int, ops: int = 64, without: tuple[str, ...] = ()) -> bytes:
    """A program in which most operations find what they name."""
    rand = random.Random(seed)
    sizes = [*rand.sample(SIZES, 3), 472, 2712]
    weights = {name: weight for name, weight in WEIGHTS.items() if name not in without}
    names = rand.choices(list(weights), list(weights.values()), k=ops)
    live: set[int] = set()
    return b"".join(_random_op(rand, name, sizes, live) for name in names)


def _random_op(rand: random.Random, name: str, sizes: list[int], live: set[int]) -> bytes:
    pool = rand.choices(range(4), (14, 3, 1, 1))[0]
    names_cgroup = wire.OPCODES.index(name) in wire.NAME_CGROUP
    owner = rand.randrange(8 if names_cgroup else 9)
    size = rand.choice(sizes) if name == "malloc" else rand.choice((0, 0, 1, 300))
    arg = rand.randrange(3 if name in ("migrate", "lock_page") else 8)
    absent = sorted(set(range(64)) - live)
    obj = rand.choice(sorted(absent if name == "malloc" else live) or [0])
    if name == "malloc":
        live.add(obj)
    if name == "free":
        live.discard(obj)
    return op(name, obj, pool, owner, size, arg)
