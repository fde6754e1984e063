# SPDX-License-Identifier: GPL-2.0-only
"""What a reproducer expects of pages of processes: what the cgroups' files say after each step.

It swaps pages itself, and by hand the module does not look into zswap or the disk.  So what a
kernel says of zspages there is left out, and those of the program's own pools are numbered without
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

from zsfuzz.errors import BadProgram
from zsfuzz.mutation.rawbytes import SWAP_OPS
from zsfuzz.program import OP_SIZE, Op, Opcode, Program
from zsfuzz.records import RESULT, RESULT_SIZE
from zsmodel import Kernel, Model
from zsmodel.wire import (
    NONE16,
    RECORDS,
    SNAP_CGROUP,
    SNAP_CLASS,
    SNAP_EVENTS,
    SNAP_OBJECT,
    SNAP_PAGE,
    SNAP_POOL,
    SNAP_ROW,
    SNAP_ZSPAGE,
    SNAPSHOT_KINDS,
    ZSWAP_POOL,
)

_ZSPAGE = RESULT.fields.index("zspage")


@dataclass(frozen=True)
class Account:
    """Hold what a cgroup's files say of zswap: bytes, pages, and pages since the program began."""

    zswap: int = 0
    zswapped: int = 0
    incompressible: int = 0
    zswpin: int = 0
    zswpout: int = 0
    zswpwb: int = 0


Change = tuple[int, ...]  # step from 1, cgroup, fields of Account


def swaps(program: Program) -> bool:
    """Tell whether a program has operations on pages of processes."""
    return any(op.op in SWAP_OPS for op in program)


def check(program: Program) -> None:
    """Refuse what no file of the kernel does; raises BadProgram."""
    for number, op in enumerate(program, 1):
        if op.op is Opcode.SWAP_COMPACT and not op.arg & 1:
            reason = "no file of the kernel compacts zswap's pool alone"
            raise BadProgram(f"{reason}: use `zsfuzz replay`, or --text", op=number)


def answers(program: Program, kernel: Kernel) -> tuple[list[bytes], bytes]:
    """Give the results and, as the processes end before it, the snapshot without their pages."""
    drops = [Op(Opcode.PAGE_DROP, object=page) for page in _live_pages(program, kernel)]
    answer = Model(kernel).run(Program.of([*program, *drops]).wire)
    end = len(program) * RESULT_SIZE
    results = [list(fields) for fields in RESULT.struct.iter_unpack(answer[:end])]
    own = {
        fields[_ZSPAGE]
        for op, fields in zip(program, results, strict=True)
        if op.op not in SWAP_OPS and fields[_ZSPAGE] != NONE16
    }
    numbers = {old: new for new, old in enumerate(sorted(own))} | {NONE16: NONE16}
    for op, fields in zip(program, results, strict=True):
        if op.op not in SWAP_OPS:
            fields[_ZSPAGE] = numbers[fields[_ZSPAGE]]
    snapshot = answer[end + len(drops) * RESULT_SIZE :]
    packed = [RESULT.struct.pack(*fields) for fields in results]
    return packed, b"".join(_own_records(snapshot, numbers))


def _live_pages(program: Program, kernel: Kernel) -> list[int]:
    records = _records(Model(kernel).run(program.wire)[len(program) * RESULT_SIZE :])
    return [fields["page"] for kind, fields, _ in records if kind == SNAP_PAGE]


def changes(program: Program, kernel: Kernel) -> list[Change]:
    """List what the files say otherwise than before: step, cgroup, and all fields of Account."""
    found: list[Change] = []
    before = {number: Account() for number in range(7)}
    model = Model(kernel)
    for step in range(1, len(program) + 1):
        answer = model.run(program.wire[: step * OP_SIZE])
        now = _accounts(answer[step * RESULT_SIZE :])
        for number, account in now.items():
            if before.get(number) != account:
                found.append((step, number, *astuple(account)))
        before = now
    return found


def _accounts(snapshot: bytes) -> dict[int, Account]:
    """Read each cgroup's account; without pages of processes there are no events yet."""
    values: dict[int, dict[str, int]] = {0: {}}
    for kind, fields, _ in _records(snapshot):
        if kind in (SNAP_CGROUP, SNAP_EVENTS):
            values.setdefault(fields["cgroup"], {}).update(fields)
    names = Account.__dataclass_fields__
    return {
        number: Account(**{name: fields.get(name, 0) for name in names})
        for number, fields in values.items()
    }


def _own_records(snapshot: bytes, numbers: dict[int, int]) -> Iterator[bytes]:
    """Leave out what is about zswap, the disk and pages, and number zspages anew."""
    theirs = False
    for kind, fields, tail in _records(snapshot):
        if kind == SNAP_POOL:
            theirs = fields["pool"] >= ZSWAP_POOL
        in_pool = kind in (SNAP_POOL, SNAP_CLASS, SNAP_ROW, SNAP_ZSPAGE)
        if kind in (SNAP_PAGE, SNAP_EVENTS) or (in_pool and theirs):
            continue
        if kind in (SNAP_ZSPAGE, SNAP_OBJECT):
            fields["zspage"] = numbers[fields["zspage"]]
        yield RECORDS[SNAPSHOT_KINDS[kind]].struct.pack(*fields.values()) + tail


def _records(snapshot: bytes) -> Iterator[tuple[int, dict[str, Any], bytes]]:
    """Take a snapshot of the model's apart: kind, fields, and the bytes behind a zspage."""
    at = 0
    while at < len(snapshot) and snapshot[at] in SNAPSHOT_KINDS:
        kind = snapshot[at]
        record = RECORDS[SNAPSHOT_KINDS[kind]]
        fields = dict(zip(record.fields, record.struct.unpack_from(snapshot, at), strict=True))
        at += record.size
        tail = 0
        if kind == SNAP_ZSPAGE:
            tail = -(-sum(fields[name] for name in ("free_bytes", "pages", "owner_bytes")) // 4) * 4
        yield kind, fields, snapshot[at : at + tail]
        at += tail
