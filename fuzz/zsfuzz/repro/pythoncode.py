# SPDX-License-Identifier: GPL-2.0-only
"""Write a reproducer in Python: reproducer.py.in with the program's data in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from zsfuzz.records import RESULT
from zsfuzz.repro.tables import NAMED, Expected, snapshot_records
from zsfuzz.terminal import one_line
from zsmodel.wire import Record

TEMPLATE = Path(__file__).with_name("reproducer.py.in")


def to_python(expected: Expected, protocol: int, design: int) -> str:
    """Write one script; `protocol` and `design` are the numbers that the module gives in info."""
    title = one_line(expected.title).replace("\\", "").replace('"', "'")
    what = f"{title} (design {expected.design}, {len(expected.steps)} steps)"
    constants = [f"PROTOCOL = {protocol}", f"DESIGN = {design}"]
    constants.append(f"REPEATABLE = {expected.repeatable}")
    constants += [f"OP_{opcode.name} = {int(opcode)}" for opcode in NAMED]
    text = TEMPLATE.read_text().replace("# @data@", "\n".join([*constants, *_data(expected)]))
    return text.replace("@what@", what, 1)  # the last: it is a stranger's text


def _data(expected: Expected) -> Iterator[str]:
    yield f"RESULT = {_layout(RESULT)!r}"
    yield "RECORDS = {"
    for kind, name, record in snapshot_records():
        yield f"    {kind}: {(name, *_layout(record))!r},"
    yield "}"
    yield "PROGRAM = ("
    for text, op, result in expected.steps:
        yield f"    ({text!r},\n     {op!r},\n     {result!r}),"
    yield ")"
    yield f"SNAPSHOT = {expected.snapshot!r}"


def _layout(record: Record) -> tuple[str, tuple[str, ...]]:
    return "<" + record.codes, record.fields
