# SPDX-License-Identifier: GPL-2.0-only
"""Programs in batches through one guest, while the model predicts what it will answer.

The guest runs a batch without help; meanwhile the model runs the same programs, and the next ones
are read from disk.  Whatever is not as it should be is left to the Judge, on fresh guests.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from zsfuzz.errors import GuestRefused, KernelSplat, Unanswered
from zsfuzz.guest.machine import Machine
from zsfuzz.history import INTERVAL
from zsfuzz.lockstep import kernel_words
from zsfuzz.program import OP_SIZE
from zsfuzz.replay.alone import Judge, Task
from zsfuzz.runner import Runner

BATCH = 64  # programs in one request
PASSES = 3  # that find nobody, of programs that no audit told of
BATCH_OPERATIONS = 8192  # of all programs in one request: their answers must fit the ring


class Answered(NamedTuple):
    """How far a batch came: programs that agree, and what the next one answered, if anything."""

    agreed: int
    kernel: bytes = b""
    model: bytes = b""


class Pipeline:
    """Runs tasks in order; those that agree cost no more than kernel and model need."""

    def __init__(self, machine: Machine, runner: Runner, judge: Judge) -> None:
        self.machine = machine
        self.runner = runner
        self.judge = judge
        self.since_audit: list[Task] = []
        self.unaudited: list[Task] = []  # they agreed, but their guest had to go before an audit
        self.settled: Counter[Path] = Counter()  # how often they agreed, and an audit told so
        self.next_audit = time.monotonic() + INTERVAL

    def run(self, tasks: Iterator[Task]) -> None:
        """Run all tasks, with an audit at intervals and one at the end.

        Programs of which no audit told, since others had taken their guest down or left something
        behind, run again one by one; they stay unsettled if that goes on and finds nobody.
        """
        self._run_all(tasks)
        passes = 0
        while passes < PASSES and (again := self._again()):
            before = self.judge.looked_into
            for at in range(0, len(again), BATCH):
                self._run_singly(again[at : at + BATCH])
                self._audit()
            passes = passes + 1 if self.judge.looked_into == before else 0

    def _again(self) -> list[Task]:
        again = [task for task in self.unaudited if not self.judge.knows(task.path)]
        self.unaudited.clear()
        return again

    def _run_all(self, tasks: Iterator[Task]) -> None:
        batch, tasks = take_batch(tasks)
        while batch:
            batch, tasks = self._run_batch(batch, tasks)
            if time.monotonic() >= self.next_audit:
                self._audit()
        self._audit()

    def _run_batch(
        self, batch: list[Task], tasks: Iterator[Task]
    ) -> tuple[list[Task], Iterator[Task]]:
        """Run one batch; returns the next one, which may begin with what this one left over."""
        programs = [task.wire for task in batch]
        self.machine.post_many(programs)
        model = self.runner.model
        expected = [model.run(wire) for wire in programs]
        following, tasks = take_batch(tasks)
        try:
            answered = self._compare(programs, self.machine.collect_many(), expected)
        except (KernelSplat, Unanswered) as error:
            self._lose_guest(batch)
            self.judge.search(batch, error)
            return following, tasks
        except GuestRefused:  # the answers do not fit the ring, for example
            self._lose_guest()
            self.machine.restart()
            self._run_singly(batch)
            return following, tasks
        self.since_audit += batch[: answered.agreed]
        if answered.agreed == len(batch):
            return following, tasks
        self._lose_guest()
        self.judge.differs(batch[answered.agreed], answered.kernel, answered.model)
        rest = batch[answered.agreed + 1 :]
        return take_batch(chain(rest, following, tasks))

    def _compare(
        self, programs: list[bytes], answers: list[bytes], expected: list[bytes]
    ) -> Answered:
        if answers == expected:
            return Answered(len(programs))
        for number, wire in enumerate(programs):
            kernel, model = answers[number], expected[number]
            if kernel == model:
                continue
            words = kernel_words(wire, kernel)
            if words:
                model = self.runner.model.run(wire, words)
            if kernel != model:
                return Answered(number, kernel, model)
        return Answered(len(programs))

    def _run_singly(self, batch: list[Task]) -> None:
        for task in batch:
            if self.judge.knows(task.path):
                continue
            killed = self.runner.killed
            well = self.judge.runs_well(task)
            if self.runner.killed != killed or not well:
                self._lose_guest()
            if well:
                self.since_audit.append(task)

    def _lose_guest(self, batch: Iterable[Task] = ()) -> None:
        self.unaudited += chain(self.since_audit, batch)
        self.since_audit.clear()

    def _audit(self) -> None:
        """See that nothing outlives its cgroup; if something does, look for the cause."""
        if self.since_audit:
            self._audit_those(self.since_audit)
            self.since_audit = []
        self.next_audit = time.monotonic() + INTERVAL

    def _audit_those(self, tasks: list[Task]) -> None:
        killed = self.runner.killed
        trouble = self.runner.look_around()
        if trouble is not None:
            again = self.judge.left_behind(tasks, trouble)
        else:  # if it was killed from outside, what was to be seen went with it
            again = tasks if self.runner.killed != killed else []
        self.unaudited += again
        if not again:
            self.settled.update(task.path for task in tasks)


def take_batch(tasks: Iterator[Task]) -> tuple[list[Task], Iterator[Task]]:
    """Take what fits one request, at least one program; also returns what is left."""
    batch: list[Task] = []
    operations = 0
    for task in tasks:
        operations += len(task.wire) // OP_SIZE
        if batch and operations > BATCH_OPERATIONS:
            return batch, chain([task], tasks)
        batch.append(task)
        if len(batch) == BATCH:
            break
    return batch, tasks
