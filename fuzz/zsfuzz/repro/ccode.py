# SPDX-License-Identifier: GPL-2.0-only
"""Write a reproducer in C: reproducer.c with the program's data in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from zsfuzz.records import RESULT, RESULT_SIZE
from zsfuzz.repro.tables import NAMED, NAMED_IN_SWAP, Expected, fields_of, snapshot_records
from zsfuzz.terminal import one_line
from zsmodel.wire import Record

TEMPLATE = Path(__file__).with_name("reproducer.c")
SWAP = Path(__file__).with_name("swap.c")
_BYTES_IN_LINE = 16


def to_c(expected: Expected, protocol: int, design: int) -> str:
    """Write one C file; `protocol` and `design` are the numbers that the module gives in info."""
    what = f"{_comment(expected.title)} (design {expected.design}, {len(expected.steps)} steps)"
    text = TEMPLATE.read_text()
    constants = [
        f"#define RESULT_BYTES\t{RESULT_SIZE}",
        f"#define PROTOCOL\t{protocol}",
        f"#define DESIGN\t\t{design}",
        f'#define DESIGN_NAME\t"{expected.design}"',
        f"#define SWAPS\t\t{int(expected.swaps)}",
        f"#define REPEATABLE\t{int(expected.repeatable)}",
        *(f"#define OP_{opcode.name} {int(opcode)}" for opcode in NAMED),
    ]
    if expected.swaps:
        constants += [f"#define OP_{opcode.name} {int(opcode)}" for opcode in NAMED_IN_SWAP]
    text = text.replace("/* @swap@ */\n", f"{SWAP.read_text()}\n" if expected.swaps else "")
    text = text.replace("enum { GOOD", "\n".join(constants) + "\n\nenum { GOOD", 1)
    text = text.replace("/* @data@ */", "\n".join(_data(expected)))
    return text.replace("@what@", what, 1)  # the last: it is a stranger's text


def _comment(text: str) -> str:
    """Keep a text from ending the comment that it is in, or being more than a line."""
    return " ".join(one_line(text).replace("*/", "* /").replace("/*", "/ *").split())


def _data(expected: Expected) -> Iterator[str]:
    yield "static const struct record result ="
    yield f"{_record(0, 'result', RESULT)};\n"
    yield "static const struct record records[] = {"
    for kind, name, record in snapshot_records():
        yield f"{_record(kind, name, record)},"
    yield "};\n"
    yield "static const struct step program[] = {"
    for text, op, result in expected.steps:
        yield f"\t{{ {json.dumps(text)},\n\t  {{ {_numbers(op)} }},"
        yield f"\t  {{ {_numbers(result)} }} }},"
    yield "};\n"
    if expected.swaps:
        yield "/* What the files of the cgroups say, wherever that changes. */"
        yield "static const struct account accounts[] = {"
        for change in expected.changes:
            yield f"\t{{ {_numbers(change)} }},"
        yield "\t{ .step = ~0u },\t/* the end */"
        yield "};\n"
    yield "/* With everything in place after the last step, and after everything was freed. */"
    yield "static const uint8_t snapshot[] = {"
    data = expected.snapshot
    for at in range(0, len(data), _BYTES_IN_LINE):
        yield f"\t{_numbers(data[at : at + _BYTES_IN_LINE])},"
    yield "};"


def _record(kind: int, name: str, record: Record) -> str:
    fields = fields_of(record)
    lines = [f'\t\t{{ "{f.name}", {f.offset}, {f.size}, {int(f.signed)} }},' for f in fields]
    head = f'\t{{ {kind}, "{name}", {record.size}, {len(fields)}, {{'
    return "\n".join([head, *lines, "\t} }"])


def _numbers(data: Iterable[int]) -> str:
    return ", ".join(map(str, data))
