# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts: programs in trouble are run again, each on its own, on fresh guests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from zsfuzz.console.demise import demise_of
from zsfuzz.errors import GuestKilled, KernelSplat, Unanswered
from zsfuzz.findings.followup import finding_of
from zsfuzz.findings.verdict import Reproduced
from zsfuzz.history import Search
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


@dataclass(frozen=True)
class _Seen:
    """What is known so far of a program, or of one of several, that is looked into."""

    task: Task
    trouble: Trouble
    hits: int = 0
    tries: int = 0
    others: int = 0


class Judge:
    """Decide on programs that did not just agree; then the guest is a fresh one.

    What is seen counts from that moment on, even if the harness fails while it is looked into.
    """

    def __init__(self, runner: Runner, manifest: Mapping[str, Any], config: WorkerConfig) -> None:
        self._runner = runner
        self._manifest = manifest
        self._config = config
        self._titles: Counter[str] = Counter()  # of programs that showed them on a fresh guest
        self.looked_into = 0  # programs that were decided on by running them alone
        self._found: dict[Path, Verdict] = {}
        self._open: dict[Path, _Seen] = {}

    @property
    def verdicts(self) -> list[Verdict]:
        """List the verdicts on all programs that did not agree."""
        return [*self._found.values(), *map(self._verdict, self._open.values())]

    def knows(self, path: Path) -> bool:
        """Tell whether it was decided that a program did not agree."""
        return path in self._found

    def differs(self, task: Task, kernel: bytes, model: bytes) -> None:
        """Decide on a program whose answers differ, kernel and model being what they said."""
        self._look_into(task, self._runner.differs(Disagreement(task.wire, kernel, model)))

    def runs_well(self, task: Task, suspects: Sequence[Task] = ()) -> bool:
        """Run a program on the present guest; if it is in trouble, decide on it alone."""
        trouble = self._runner.check(task.wire)
        if trouble is not None:
            self._acquit(suspects)
            self._look_into(task, trouble)
        return trouble is None

    def search(self, batch: Sequence[Task], error: Unanswered | KernelSplat) -> None:
        """Run a batch that ended badly again, one by one, and decide on those in trouble."""
        trouble = _batch_trouble(error)
        if trouble is None:
            self._runner.replace_killed()
        else:
            self._suspect(batch, trouble)
            self._runner.target.restart()
        for task in batch:
            if not self.knows(task.path):
                self.runs_well(task, batch)
        self._blame(batch)
        self._runner.target.restart()  # no audit looks at what these may have left

    def left_behind(self, tasks: Sequence[Task], trouble: Trouble) -> list[Task]:
        """Find a program that left behind what an audit has seen; returns those to run again.

        None are if nobody can tell which it was, or if too many do the same.
        """
        self._suspect(tasks, trouble)
        self._runner.target.restart()
        if self._titles[trouble.title] >= CULPRITS:
            self._blame(tasks, trouble.outcome)
            return []
        search = Search(self._runner, trouble.title)
        wire = search.culprit([task.wire for task in tasks])
        if wire is None and not search.disturbed:
            self._blame(tasks)
            return []
        self._acquit(tasks)
        guilty = [replace(trouble, wire=wire)] if wire and not search.disturbed else search.others
        for seen in guilty:
            for task in tasks:
                if task.wire == seen.wire:
                    self._look_into(task, seen)
        return list(tasks)

    # ---- one program ------------------------------------------------------------------------

    def _look_into(self, task: Task, trouble: Trouble) -> None:
        """Decide on a program that was seen in trouble: does it show again on a fresh guest."""
        if self.knows(task.path):
            self._runner.target.restart()
            return
        seen = _Seen(task, replace(trouble, outcome=Outcome.FLAKY))
        tries = max(self._config.times, 1 if self._titles[trouble.title] else TRIES)
        self.looked_into += 1
        for tried in range(tries + 1):
            self._open[task.path] = seen
            self._runner.target.restart()
            if tried < tries:
                seen = _counted(seen, self._runner.examine(task.wire))
        self._titles[seen.trouble.title] += seen.hits > 0
        self._decide(seen)

    # ---- one of several ---------------------------------------------------------------------

    def _suspect(self, tasks: Sequence[Task], trouble: Trouble) -> None:
        unknown = {task.path: task for task in tasks if not self.knows(task.path)}
        if unknown:
            first, others = next(iter(unknown.values())), len(unknown) - 1
            flaky = replace(trouble, outcome=Outcome.FLAKY)
            self._open[first.path] = _Seen(first, flaky, 0, 1, others)

    def _acquit(self, tasks: Sequence[Task]) -> None:
        """Take back that it is one of them."""
        for task in tasks:
            self._open.pop(task.path, None)

    def _blame(self, tasks: Sequence[Task], outcome: Outcome = Outcome.FLAKY) -> None:
        """Say of the suspect that it, or one of the others, is the cause: nobody knows which."""
        for seen in [self._open[task.path] for task in tasks if task.path in self._open]:
            self._decide(replace(seen, trouble=replace(seen.trouble, outcome=outcome)))

    def _decide(self, seen: _Seen) -> None:
        self._open.pop(seen.task.path, None)
        self._found[seen.task.path] = self._verdict(seen)

    def _verdict(self, seen: _Seen) -> Verdict:
        trouble = replace(seen.trouble, wire=seen.task.wire)
        finding = finding_of(
            trouble,
            kernel=self._manifest,
            flavours=(self._config.flavour,),
            reproduced=Reproduced(seen.hits, seen.tries).pair,
        )
        text = render(finding, seen.task.path)
        return Verdict(
            seen.task.path, trouble.outcome, seen.hits, seen.tries, trouble.title, text, seen.others
        )


def _counted(seen: _Seen, again: Trouble | None) -> _Seen:
    """Count one more try; the first one that shows something is what is reported."""
    hits = seen.hits + (again is not None)
    trouble = again if again is not None and not seen.hits else seen.trouble
    return replace(seen, trouble=trouble, hits=hits, tries=seen.tries + 1)


def _batch_trouble(error: Unanswered | KernelSplat) -> Trouble | None:
    """Say what a batch ended with; None for a guest that was killed from outside."""
    try:
        _, title, splat = demise_of(error)
    except GuestKilled:
        return None
    title = title if splat else BATCH_TITLE
    return Trouble(Outcome.FLAKY, title, b"", error.reason, splat=splat, console=error.console)
