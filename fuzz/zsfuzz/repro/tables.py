# SPDX-License-Identifier: GPL-2.0-only
"""What a reproducer carries: the program, the answers that the model gives, and their layout."""

from __future__ import annotations

from dataclasses import dataclass
from struct import calcsize

from zsfuzz.corpusfile import Entry
from zsfuzz.errors import BadProgram
from zsfuzz.program import OP_SIZE, Opcode, Program
from zsfuzz.records import RESULT_SIZE
from zsfuzz.repro import swapping
from zsfuzz.text import format_op
from zsmodel import Kernel, Model
from zsmodel.wire import RECORDS, SNAPSHOT_KINDS, Record

# Operations that a reproducer treats in a way of its own, and so knows by name.
NAMED = (Opcode.MALLOC, Opcode.FAIL_NEXT, Opcode.CGROUP_CREATE, Opcode.CGROUP_REMOVE)
NAMED_IN_SWAP = (Opcode.STAT, *(op for op in Opcode if op >= Opcode.PAGE_WRITE))
_KEEP_NOTHING = {Opcode.CGROUP_CREATE, Opcode.CGROUP_REMOVE}


@dataclass(frozen=True)
class FieldPlace:
    """Where a field lies in its record, in bytes."""

    name: str
    offset: int
    size: int
    signed: bool


@dataclass(frozen=True)
class Expected:
    """A program with what a kernel of this design must answer to it."""

    title: str
    design: str
    steps: tuple[tuple[str, bytes, bytes], ...]  # text, struct zsfuzz_op, struct zsfuzz_result
    snapshot: bytes
    changes: tuple[swapping.Change, ...] = ()  # of what the cgroups' files say
    swaps: bool = False
    repeatable: bool = False  # it leaves the cgroups as they were


def expected_of(entry: Entry, kernel: Kernel) -> Expected:
    """Let the model answer the program; slab is taken to need no memory of its own.

    Raises BadProgram for what a process cannot do by itself.
    """
    program: Program = entry.program.canonical()
    swaps = swapping.swaps(program)
    results, snapshot = _answers(program, kernel, swaps)
    ops = [program.wire[i * OP_SIZE : (i + 1) * OP_SIZE] for i in range(len(program))]
    steps = zip(map(format_op, program), ops, results, strict=True)
    return Expected(
        entry.note or "a program of zsfuzz",
        kernel.design,
        tuple(steps),
        snapshot,
        tuple(swapping.changes(program, kernel)) if swaps else (),
        swaps,
        not swaps and not _KEEP_NOTHING & {op.op for op in program},
    )


def _answers(program: Program, kernel: Kernel, swaps: bool) -> tuple[list[bytes], bytes]:
    if swaps:
        swapping.check(program)
        return swapping.answers(program, kernel)
    answer = Model(kernel).run(program.wire)
    end = len(program) * RESULT_SIZE
    return [answer[at : at + RESULT_SIZE] for at in range(0, end, RESULT_SIZE)], answer[end:]


def refuse_swap(entry: Entry) -> None:
    """Raise BadProgram for operations on pages of processes."""
    for number, op in enumerate(entry.program.canonical(), 1):
        if op.op >= Opcode.PAGE_WRITE:
            reason = f"{op.op.word} swaps pages of processes, which only a reproducer in C does"
            raise BadProgram(f"{reason}: use --c, or --text", op=number)


def fields_of(record: Record) -> list[FieldPlace]:
    """List the fields of a record that are compared; padding and its kind are not."""
    places, offset = [], 0
    for name, code in zip(record.fields, record.codes, strict=True):
        size = calcsize("<" + code)
        if name not in ("kind", "pad"):
            places.append(FieldPlace(name, offset, size, code.islower()))
        offset += size
    return places


def snapshot_records() -> list[tuple[int, str, Record]]:
    """List the kinds of records in a snapshot: number, name, layout."""
    return [
        (kind, name.removeprefix("zsfuzz_snap_"), RECORDS[name])
        for kind, name in sorted(SNAPSHOT_KINDS.items())
    ]
