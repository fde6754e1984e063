# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts: programs in trouble are run again, each on its own, on fresh guests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from zsfuzz.console.demise import demise_of
from zsfuzz.errors import GuestKilled, KernelSplat, Unanswered
from zsfuzz.findings.followup import finding_of
from zsfuzz.history import find_culprit
from zsfuzz.lockstep import Disagreement
from zsfuzz.outcome import Outcome
from zsfuzz.replay.verdict import Verdict
from zsfuzz.report.plaintext import render
from zsfuzz.runner import Runner, Trouble
from zsfuzz.workerconfig import WorkerConfig

BATCH_TITLE = "guest did not live through a batch of programs"
TRIES = 3  # of the first program with a title; of later ones, one
CULPRITS = 5  # with the same title that audits are searched for, one by one


class Task(NamedTuple):
    """A program to run, and the file that it came from."""

    path: Path
    wire: bytes


class Judge:
    """Decide on programs that did not just agree; after each call the guest is a fresh one."""

    def __init__(self, runner: Runner, manifest: Mapping[str, Any], config: WorkerConfig) -> None:
        self._runner = runner
        self._manifest = manifest
        self._config = config
        self._titles: Counter[str] = Counter()
        self._found: dict[Path, Verdict] = {}

    @property
    def verdicts(self) -> list[Verdict]:
        """List the verdicts on all programs that did not agree."""
        return list(self._found.values())

    def knows(self, task: Task) -> bool:
        """Tell whether it was decided that a program did not agree."""
        return task.path in self._found

    def differs(self, task: Task, kernel: bytes, model: bytes) -> None:
        """Decide on a program whose answers differ, kernel and model being what they said."""
        trouble = self._runner.differs(Disagreement(task.wire, kernel, model))
        self._runner.target.restart()
        self.found(task, trouble)

    def found(self, task: Task, trouble: Trouble) -> None:
        """Decide on a program that was seen in trouble: does it show again on a fresh guest."""
        if self.knows(task):
            return
        tries = max(self._config.times, 1 if self._titles[trouble.title] else TRIES)
        again: list[Trouble | None] = []
        try:
            for _ in range(tries):
                again.append(self._runner.replay(task.wire))  # noqa: PERF401 - one may raise
        finally:  # where no other guest comes up, what was seen still counts
            hits = [found for found in again if found is not None]
            verdict = hits[0] if hits else replace(trouble, outcome=Outcome.FLAKY)
            self._titles[verdict.title] += 1
            self._add(task, verdict, len(hits), len(again))

    def search(self, batch: Sequence[Task], error: Unanswered | KernelSplat) -> None:
        """Run a batch that ended badly again, one by one, and decide on those in trouble."""
        trouble = _batch_trouble(error)
        if trouble is None:
            self._runner.replace_killed()
        else:
            self._runner.target.restart()
        guilty = 0
        for task in batch:
            found = self._runner.run(task.wire)
            if found is not None:
                guilty += 1
                self.found(task, found)
        self._runner.target.restart()  # no audit looks at what these may have left
        if trouble is not None and not guilty:
            self._blame_all(batch, trouble)

    def left_behind(self, tasks: Sequence[Task], trouble: Trouble) -> None:
        """Find the programs that left behind what an audit has seen, one after the other."""
        rest = list(tasks)
        while rest and self._titles[trouble.title] < CULPRITS:
            wire = find_culprit(self._runner, [task.wire for task in rest], trouble.title)
            if wire is None:
                break
            guilty = next(task for task in rest if task.wire == wire)
            self.found(guilty, replace(trouble, wire=wire))
            rest = [task for task in rest if task.wire != wire]
            if not self._still(rest, trouble.title):
                return
        outcome = trouble.outcome if self._titles[trouble.title] else Outcome.FLAKY
        self._blame_all(rest, replace(trouble, outcome=outcome))

    def _still(self, tasks: Sequence[Task], title: str) -> bool:
        for task in tasks:
            self._runner.run(task.wire)
        found = self._runner.audit()
        return found is not None and found.title == title

    def _blame_all(self, tasks: Sequence[Task], trouble: Trouble) -> None:
        """Say of the first that it, or one of the others, is the cause: nobody knows which."""
        unknown = [task for task in tasks if not self.knows(task)]
        if unknown:
            first = unknown[0]
            self._add(first, trouble, 0, 1, len(unknown) - 1)

    def _add(self, task: Task, trouble: Trouble, hits: int, tries: int, others: int = 0) -> None:
        if self.knows(task):
            return
        trouble = replace(trouble, wire=task.wire)
        finding = finding_of(
            trouble,
            kernel=self._manifest,
            flavours=(self._config.flavour,),
            reproduced=(hits, tries),
        )
        text = render(finding, task.path)
        self._found[task.path] = Verdict(
            task.path, trouble.outcome, hits, tries, trouble.title, text, others
        )


def _batch_trouble(error: Unanswered | KernelSplat) -> Trouble | None:
    """Say what a batch ended with; None for a guest that was killed from outside."""
    try:
        _, title, splat = demise_of(error)
    except GuestKilled:
        return None
    title = title if splat else BATCH_TITLE
    return Trouble(Outcome.FLAKY, title, b"", error.reason, splat=splat, console=error.console)
