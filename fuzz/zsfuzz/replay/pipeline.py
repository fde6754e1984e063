# SPDX-License-Identifier: GPL-2.0-only
"""Programs in batches through one guest, while the model predicts what it answers.

The guest runs a batch without help; meanwhile the model runs those before, and the next ones are
read from disk.  The guest may be some batches ahead: one that waits for work polls, and takes a CPU
that another worker has work for.  Whatever is not as it should be is left to the Judge, on fresh
guests.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from zsfuzz.errors import GuestRefused, KernelSplat, Unanswered, ZsfuzzError
from zsfuzz.guest.machine import Machine
from zsfuzz.history import INTERVAL
from zsfuzz.lockstep import kernel_words
from zsfuzz.program import OP_SIZE
from zsfuzz.replay.alone import Judge, Task
from zsfuzz.runner import Runner

BATCH = 64  # programs in one request
AHEAD = 4  # batches that the guest may have run before the model
PASSES = 3  # that find nobody, of programs that no audit told of
BATCH_OPERATIONS = 8192  # of all programs in one request: their answers must fit the ring


class _Answered(NamedTuple):
    """A batch that the guest has run, and the model perhaps not yet."""

    batch: list[Task]
    answers: list[bytes]
    error: KernelSplat | Unanswered | GuestRefused | None = None


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
        self._tasks: Iterator[Task] = iter(())
        self._next: list[Task] = []
        self._posted: list[Task] = []
        self._answered: deque[_Answered] = deque()
        self._failed = False  # the harness: no guest is asked for more

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
        self._tasks = tasks
        try:
            self._run_until_done()
        except ZsfuzzError:
            self._posted, self._failed = [], True
            with suppress(ZsfuzzError):  # the first failure is the one to tell
                while self._answered and self._answered[0].error is None:
                    self._compare_oldest()  # what was answered before counts
            raise

    def _run_until_done(self) -> None:
        while True:
            self._go_on()
            if self._answered:
                self._compare_oldest()
            elif self._posted:
                self._fetch()
            elif self._audit_is_due:
                self._audit()
            else:
                break
        self._audit()

    @property
    def _audit_is_due(self) -> bool:
        return time.monotonic() >= self.next_audit

    # ---- the guest --------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Give the guest the next batch, unless it is busy, far ahead, gone, or to be audited."""
        waits = len(self._answered) >= AHEAD or self._audit_is_due or self._failed
        if self._posted or waits or (self._answered and self._answered[-1].error):
            return
        self._posted = self._next or self._take()
        if self._posted:
            self.machine.post_many([task.wire for task in self._posted])
            self._next = self._take()  # read from disk while it is busy

    def _take(self) -> list[Task]:
        batch, self._tasks = take_batch(self._tasks)
        return batch

    def _fetch(self) -> None:
        """Take the guest's answers, or what became of it."""
        batch, self._posted = self._posted, []
        try:
            self._answered.append(_Answered(batch, self.machine.collect_many()))
        except (KernelSplat, Unanswered, GuestRefused) as error:
            self._answered.append(_Answered(batch, [], error))

    # ---- the model --------------------------------------------------------------------------

    def _compare_oldest(self) -> None:
        batch, answers, error = self._answered[0]
        if error is not None:
            self._answered.popleft()
            self._look_closer(batch, error)
            return
        for number, (task, kernel) in enumerate(zip(batch, answers, strict=True)):
            model = self._predict(task.wire, kernel)
            if kernel != model:
                self.since_audit += batch[:number]
                self._take_back(batch[number + 1 :])
                self.judge.differs(task, kernel, model)
                return
            if self._posted and self.machine.answered:
                self._fetch()
                self._go_on()
        self._answered.popleft()
        self.since_audit += batch

    def _predict(self, wire: bytes, kernel: bytes) -> bytes:
        """Say what the kernel has to answer; its word is taken where the contract allows it."""
        model = self.runner.model.run(wire)
        words = kernel_words(wire, kernel) if kernel != model else {}
        return self.runner.model.run(wire, words) if words else model

    def _take_back(self, batch: list[Task]) -> None:
        """Forget what the guest did after a program that differs; it runs again on a fresh one.

        Complaints too: they may come of what differed.
        """
        self._lose_guest()
        later = [answered.batch for answered in list(self._answered)[1:]]
        self._tasks = chain(batch, *later, self._posted, self._next, self._tasks)
        self._answered.clear()
        self._posted, self._next = [], []

    def _look_closer(self, batch: list[Task], error: Exception) -> None:
        """Find out which program of a batch it was; none is ahead of one that was not answered."""
        if isinstance(error, (KernelSplat, Unanswered)):
            self._lose_guest(batch)
            self.judge.search(batch, error)
        else:  # the answers do not fit the ring, for example
            self._lose_guest()
            self.machine.restart()
            self._run_singly(batch)

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
