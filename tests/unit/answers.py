# SPDX-License-Identifier: GPL-2.0-only
"""Answers of a kernel that has gone wrong: the model's, with one field changed."""

from zsfuzz.program import Program
from zsfuzz.records import decode
from zsfuzz.text import parse_program
from zsmodel import Kernel, Model

KERNEL = Kernel("zspage")


def answer_to(text: str, kernel: Kernel = KERNEL) -> tuple[Program, bytes]:
    """Parse a program and let the model answer it."""
    program = parse_program(text)
    return program, Model(kernel).run(program.wire)


def tamper(data: bytes, program: Program, path: str, value: int) -> bytes:
    """Change the field at `path`, which is found by trying every byte."""
    before = decode(data, program, KERNEL).fields
    assert path in before
    for at in range(len(data)):
        new = value.to_bytes(2, "little", signed=True) if value < 0 else bytes((value,))
        changed = data[:at] + new + data[at + len(new) :]
        after = decode(changed, program, KERNEL)
        if after.stopped or after.fields.keys() != before.keys():
            continue
        differ = {p for p in before if before[p].value != after.fields[p].value}
        if differ == {path}:
            return changed
    raise AssertionError(f"no single byte changes {path} to {value}")
