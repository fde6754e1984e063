# SPDX-License-Identifier: GPL-2.0-only
"""Targets without a guest: a second model in the kernel's place, with faults that tests plant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from unittest.mock import patch

import pytest

from zsfuzz.errors import GuestHang, GuestKilled, GuestLost, HarnessError, KernelSplat
from zsfuzz.program import Opcode, Program
from zsfuzz.runner import Runner
from zsmodel import Kernel, Model, zspage
from zsmodel.wire import RECORDS, SNAP_END

KERNEL = Kernel("zspage")
# For tests with a fault of the model's in them.
ON_SOURCE = pytest.mark.skipif(
    not zspage.__file__.endswith(".py"), reason="a compiled model cannot be patched: run the source"
)
WARNING = """\
------------[ cut here ]------------
WARNING: mm/memcontrol.c:180 at obj_cgroup_release+0x1a/0x20, CPU#0: init/1
Call Trace:
 [<6001>] obj_cgroup_release+0x1a/0x20
---[ end trace 0000000000000000 ]---
"""
RESULT_SIZE = RECORDS["zsfuzz_result"].size
WARNING_TITLE = "WARNING in obj_cgroup_release"

Fault = Callable[[], AbstractContextManager[object]]
Says = Callable[[Program], bool]


def no(_: Program) -> bool:
    return False


@contextmanager
def free_keeps_owner() -> Iterator[None]:
    def obj_free(self: zspage.Zspage, index: int) -> None:
        self.inuse -= 1
        self.free.append(index)

    with patch.object(zspage.Zspage, "obj_free", obj_free):
        yield


def bytes_left(answer: bytes, count: int) -> bytes:
    """Let the last record say that so many bytes of charges are left."""
    end = len(answer) if answer[-8] == SNAP_END else len(answer) - 4  # zeros fill up the answer
    return answer[: end - 4] + count.to_bytes(4, "little") + answer[end:]


class FakeTarget:
    """Implements Target.  Each of `warns`, `dies` and `leaks` names programs that do so.

    What dies hangs instead if `hangs` is set, or is killed from outside so many `killed` times.
    """

    def __init__(
        self, fault: Fault = nullcontext, warns: Says = no, dies: Says = no, leaks: Says = no
    ) -> None:
        self.kernel = KERNEL
        self.fault = fault
        self.warns, self.dies, self.leaks = warns, dies, leaks
        self.finishes = 0  # operations, before it dies
        self.hangs = False
        self.killed = self.audits_killed = 0
        self.starts = 1
        self.starts_left: int | None = None  # before the harness fails; None: no limit
        self.wires: list[bytes] = []  # all that was run
        self.since_start: list[bytes] = []

    def post(self, wire: bytes) -> None:
        self.wires.append(wire)
        self.since_start.append(wire)

    def collect(self) -> bytes:
        wire = self.wires[-1]
        program = Program.from_wire(wire)
        if self.dies(program):
            with self.fault():
                results = self.answer(wire)[: self.finishes * RESULT_SIZE]
            if self.hangs:
                raise GuestHang("no operation was finished for 10 s", "", results)
            if self.killed:
                self.killed -= 1
                raise GuestKilled("the guest was killed by SIGKILL", "", results)
            raise GuestLost("the guest exited", "Kernel panic - not syncing: died", results)
        with self.fault():
            answer = self.answer(wire)
        if self.warns(program):
            raise KernelSplat("the kernel complained", WARNING, answer)
        return answer

    def answer(self, wire: bytes) -> bytes:
        return Model(KERNEL).run(wire)

    def compares(self, wire: bytes) -> list[tuple[int, int]]:
        return []

    def audit(self) -> int:
        if self.audits_killed:
            self.audits_killed -= 1
            raise GuestKilled("the guest was killed by SIGKILL")
        return sum(self.leaks(Program.from_wire(wire)) for wire in self.since_start)

    def console(self) -> str:
        return "Linux version 7.2.13"

    def restart(self) -> None:
        if self.starts_left is not None:
            if not self.starts_left:
                raise HarnessError("no space on /dev/shm")
            self.starts_left -= 1
        self.starts += 1
        self.since_start.clear()

    def boot_ahead(self) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        pass

    def __enter__(self) -> FakeTarget:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def runner_on(target: FakeTarget) -> Runner:
    return Runner(target, Model(KERNEL))


def has_in_order(program: Program, *words: str) -> bool:
    """Whether operations of these names come in this order, others between them or not."""
    left = iter(program)
    return all(any(op.op.word == word for op in left) for word in words)


def count(program: Program, opcode: Opcode) -> int:
    return sum(op.op is opcode for op in program)
