# SPDX-License-Identifier: GPL-2.0-only
"""Decode what a program answered into fields with names, for comparing and for reports.

Slow and careful: it is used only when the bytes of kernel and model differ, and the kernel that
made them may be broken.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from zsfuzz.program import Opcode, Program
from zsfuzz.values import Value
from zsmodel.classes import ClassShape, distinct_classes
from zsmodel.kernel import Kernel
from zsmodel.wire import NONE8, RECORDS, SNAPSHOT_KINDS, ZRAM_POOL, ZSWAP_POOL, Record

RESULT = RECORDS["zsfuzz_result"]
RESULT_SIZE = RESULT.size  # bytes


@dataclass(frozen=True)
class Field:
    """Hold one value; `path` names it uniquely, such as "p0.class[170 size=2720].z0.owners[1]".

    `subject` is the operation's word or the kind of record, `name` the member of the C struct,
    `kind` how to show it, `op` the operation's number from 1 (None in the snapshot).
    """

    path: str
    subject: str
    name: str
    value: Value
    kind: str = "number"
    op: int | None = None
    record: str = ""  # the path of the record that it is in
    index: int = 0  # of an entry in an array


@dataclass(frozen=True)
class Decoded:
    """Hold one side's fields in their order; `stopped` says why decoding ended early, or ""."""

    fields: dict[str, Field]
    stopped: str = ""


class GarbledError(Exception):  # private to this module: becomes Decoded.stopped
    """The bytes make no sense from here on: the fault of a broken kernel or module."""


def decode(data: bytes, program: Program, kernel: Kernel) -> Decoded:
    """Decode results and snapshot; what cannot be decoded is told in `stopped`, never raised."""
    fields: dict[str, Field] = {}
    try:
        for field in _Reader(data, program, kernel).fields():
            fields[_unused(field.path, fields)] = field
    except GarbledError as error:
        return Decoded(fields, str(error))
    return Decoded(fields)


def _unused(path: str, fields: dict[str, Field]) -> str:
    # A broken kernel may have the same zspage in two lists.
    count, unique = 2, path
    while unique in fields:
        unique = f"{path} (again, {count})"
        count += 1
    return unique


@lru_cache(maxsize=8)
def _shapes(kernel: Kernel) -> dict[int, ClassShape]:
    return {shape.index: shape for shape in distinct_classes(kernel)}


# ---- results -------------------------------------------------------------------------------

RESULT_KINDS = {
    "ret": "errno",
    "zspage": "zspage",
    "class": "byte",
    "index": "byte",
    "owner": "cgroup",
    "tail": "cgroup",
    "group": "byte",
    "tag_bits": "tag_bits",
    "inuse": "number",
    "tags": "bits",
    "value": "short",
    "faults": "short",
    "zspages": "number",
}
_OTHER_KINDS = {
    (Opcode.READ, "value"): "pattern",
    (Opcode.SHRINK, "tags"): "number",
    (Opcode.CLASSES, "tags"): "number",
    (Opcode.CLASSES, "value"): "number",
    (Opcode.MAY_ZSWAP, "value"): "truth",
    (Opcode.MIGRATE, "value"): "page_state",
    (Opcode.PAGE_IN, "value"): "pattern",
    (Opcode.PAGE_OUT, "value"): "length",
    (Opcode.WRITEBACK, "value"): "number",
    (Opcode.SWAP_COMPACT, "value"): "number",
}


def _result_fields(number: int, opcode: Opcode, values: dict[str, int]) -> Iterator[Field]:
    kinds = dict(RESULT_KINDS)
    # Which pages have memcg_data tells more than how it is tagged, so that goes first.
    for name in ("tag_bits", "value", "faults", "zspages"):
        values[name] = values.pop(name)
    if opcode in (Opcode.STAT, Opcode.STAT_FILES) and values["ret"] == 0:
        # One number in two members; bytes tell more than the count of objects, so they go first.
        values = dict(values, value=values["value"] | values.pop("tags") << 16)
        values["inuse"] = values.pop("inuse")
        kinds["value"] = "number"
    if opcode is Opcode.PAGE_OUT:  # to zswap or to the disk: all else follows from that
        values = {"ret": values["ret"], "value": values.pop("value"), **values}
    for name, value in values.items():
        kind = _OTHER_KINDS.get((opcode, name), kinds[name])
        yield Field(f"op {number}: {name}", opcode.word, name, value, kind, number)


# ---- snapshot ------------------------------------------------------------------------------

SNAP_KINDS = {
    "aware": "byte",
    "group": "byte",
    "index": "byte",
    "bad_groups": "bits",
    "zspage": "zspage",
    "zswap_max": "limit",
    "pattern": "pattern",
    "left": "leftovers",
    "where": "where",
    "owner": "cgroup",
}
_NAMING = frozenset(("kind", "pad", "pool", "class", "object", "cgroup", "page", "free_bytes"))
OUR_POOLS = {ZSWAP_POOL: "zswap", ZRAM_POOL: "zram"}  # not named by programs
# The order in which a cgroup's charges are compared: bytes tell more than counts.
_CHARGES = ("zswap", "zswapped", "incompressible", "zswap_max")


class _Reader:
    def __init__(self, data: bytes, program: Program, kernel: Kernel) -> None:
        self.data = data
        self.program = program
        self.shapes = _shapes(kernel)
        self.ownership = kernel.ownership
        self.class_index = -1
        self.offset = 0
        self.pool = "p?"
        self.size_class = "class?"
        self.lists: dict[int, list[int]] = {}
        self.ended = False

    def fields(self) -> Iterator[Field]:
        for number, op in enumerate(self.program, 1):
            yield from _result_fields(number, op.op, self.take(RESULT, f"result {number}"))
        while not self.ended:
            yield from self.snapshot_record()
        rest = self.data[self.offset :]
        if len(rest) > 7 or any(rest):
            raise GarbledError(f"byte {self.offset}: {len(rest)} bytes follow the end record")

    def take(self, record: Record, what: str) -> dict[str, int]:
        values = record.struct.unpack(self.take_bytes(record.size, what))
        return dict(zip(record.fields, values, strict=True))

    def take_bytes(self, count: int, what: str) -> bytes:
        taken = self.data[self.offset : self.offset + count]
        if len(taken) < count:
            left = f"{len(taken)} of {count} bytes are there"
            raise GarbledError(f"byte {self.offset}: the bytes end within {what} ({left})")
        self.offset += count
        return taken

    def snapshot_record(self) -> Iterator[Field]:
        if self.offset >= len(self.data):
            raise GarbledError(f"byte {self.offset}: the bytes end without an end record")
        name = SNAPSHOT_KINDS.get(self.data[self.offset])
        if name is None:
            raise GarbledError(
                f"byte {self.offset}: no record is of kind {self.data[self.offset]:#x}"
            )
        subject = name.removeprefix("zsfuzz_snap_")
        if subject != "zspage":
            yield from self.list_fields()
        values = self.take(RECORDS[name], f"the next {subject} record")
        prefix = self.prefix(subject, values)
        yield Field(prefix, subject, "exists", 1, "exists")
        for member in _CHARGES if subject == "cgroup" else values:
            value = values[member]
            if member in _NAMING or (subject, member) == ("zspage", "zspage"):
                continue
            kind = SNAP_KINDS.get(member, "number")
            yield Field(f"{prefix}.{member}", subject, member, value, kind, record=prefix)
        if subject == "zspage":
            self.lists.setdefault(values["group"], []).append(values["zspage"])
            yield from self.zspage_bytes(prefix, values)
        self.ended = subject == "end"

    def prefix(self, subject: str, values: dict[str, int]) -> str:
        if subject == "pool":
            self.pool = OUR_POOLS.get(values["pool"], f"p{values['pool']}")
            return self.pool
        if subject == "class":
            self.class_index = values["class"]
            shape = self.shapes.get(self.class_index)
            shown = f" size={shape.size}" if shape else ""
            self.size_class = f"class[{values['class']}{shown}]"
            return f"{self.pool}.{self.size_class}"
        if subject == "zspage":
            return f"{self.pool}.{self.size_class}.z{values['zspage']}"
        if subject == "row":
            row = "total" if values["class"] == NONE8 else str(values["class"])
            return f"{self.pool}.classes[{row}]"
        if subject in ("object", "cgroup"):
            return f"{subject[0]}{values[subject]}"
        names = {"page": f"v{values.get('page')}", "events": f"c{values.get('cgroup')}.events"}
        return names.get(subject, subject)

    def zspage_bytes(self, prefix: str, values: dict[str, int]) -> Iterator[Field]:
        free, pages, owners = values["free_bytes"], values["pages"], values["owner_bytes"]
        order = tuple(self.take_bytes(free, f"the free list of {prefix}"))
        yield Field(f"{prefix}.free", "zspage", "free", order, "byte", record=prefix)
        for page, state in enumerate(self.take_bytes(pages, f"the pages of {prefix}")):
            path = f"{prefix}.page[{page}].memcg_data"
            yield Field(path, "zspage", "page_states", state, "page_state", record=prefix)
        entries = self.entries(owners)
        for entry, owner in enumerate(self.take_bytes(owners, f"the owners of {prefix}")):
            name, index, again = entries[entry]
            path, field = f"{prefix}.{name}", "tail_owners" if again else "owners"
            yield Field(path, "zspage", field, owner, "cgroup", record=prefix, index=index)
        self.take_bytes(-(free + pages + owners) % 4, f"the padding of {prefix}")

    def entries(self, count: int) -> list[tuple[str, int, bool]]:
        """Name `count` owner entries, tell whose each is, and whether that is its second."""
        shape = self.shapes.get(self.class_index)
        arrays = self.ownership.arrays(shape) if shape else ()
        if sum(map(len, arrays)) != count:
            return [(f"owners[{index}]", index, False) for index in range(count)]
        if len(arrays) == 1:
            return [(f"owners[{index}]", index, False) for index in arrays[0]]
        found, seen = [], set()
        for page, array in enumerate(arrays):
            for slot, index in enumerate(array):
                found.append((f"page[{page}].owners[{slot}]", index, index in seen))
                seen.add(index)
        return found

    def list_fields(self) -> Iterator[Field]:
        # The order within each fullness group, known when the class's last zspage was read.
        for group, zspages in sorted(self.lists.items()):
            path = f"{self.pool}.{self.size_class}.group[{group}]"
            yield Field(path, "class", "zspages", tuple(zspages), "zspage")
        self.lists = {}
