# SPDX-License-Identifier: GPL-2.0-only
"""Whether a program shows the same finding: same outcome, same title."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from zsfuzz.minimise.kept import KeptGuest, charges_matter
from zsfuzz.minimise.minimiser import Cost, Minimised, Task, minimise
from zsfuzz.minimise.search import Stop
from zsfuzz.oracle import Divergence
from zsfuzz.outcome import Outcome
from zsfuzz.program import OP_SIZE, Program
from zsfuzz.runner import Runner, Trouble


@dataclass(frozen=True)
class Smaller:
    """What became of a finding: seen on a fresh guest, with the way to it."""

    trouble: Trouble
    minimised: Minimised


Run = Callable[[bytes], Trouble | None]


class Judge:
    """Tell of candidates, which `run` runs, whether they show the same finding as `trouble`."""

    def __init__(self, trouble: Trouble, run: Run) -> None:
        self._same = (trouble.outcome, trouble.title)
        self._run = run
        self._elsewhere: set[bytes] = set()  # beginnings of programs at whose end answers differ

    def __call__(self, wire: bytes) -> bool:
        """Tell whether a program shows the finding."""
        if any(wire[:end] in self._elsewhere for end in range(OP_SIZE, len(wire) + 1, OP_SIZE)):
            return False
        return self.trouble(wire) is not None

    def trouble(self, wire: bytes) -> Trouble | None:
        """Run a program; anything but the finding counts as nothing."""
        found = self._run(wire)
        if found is None or (found.outcome, found.title) == self._same:
            return found
        # Of a complaint that comes later, the beginning of the program says nothing.
        ends_there = self._same[0] is not Outcome.KERNEL_SPLAT
        if ends_there and found.divergence and found.divergence.step:
            self._elsewhere.add(wire[: found.divergence.step * OP_SIZE])
        return None


def minimise_trouble(runner: Runner, trouble: Trouble, stop: Stop) -> Smaller | None:
    """Make the program of a finding as simple as it can be; None if it does not show any more.

    What was found on guests that had run other programs must show on a fresh one; if it does not,
    all is done again with a fresh guest after each trouble.
    """
    with runner.target.boot_ahead():
        return _minimise(runner, trouble, stop)


def _minimise(runner: Runner, trouble: Trouble, stop: Stop) -> Smaller | None:
    fresh = _fresh_judge(runner, trouble)
    if fresh is None:
        return None
    for judge, cost in _ways(runner, trouble, fresh):
        done = minimise(_task(runner, trouble, judge, cost), stop)
        runner.target.restart()
        seen = fresh.trouble(done.program.wire)
        if seen is not None:
            return Smaller(seen, done)
    return None


def _fresh_judge(runner: Runner, trouble: Trouble) -> Judge | None:
    """Find out whether it takes an audit to see the finding; None if it does not show at all."""
    for run in (runner.run, runner.run_and_audit):
        judge = Judge(trouble, run)
        if judge(trouble.wire):
            return judge
    return None


def _differs(trouble: Trouble) -> Divergence | None:
    return trouble.divergence if trouble.outcome is Outcome.DIVERGENCE else None


def _ways(runner: Runner, trouble: Trouble, fresh: Judge) -> Iterator[tuple[Judge, Cost]]:
    divergence = _differs(trouble)
    if divergence:
        kept = KeptGuest(runner, charges_matter(divergence))
        yield Judge(trouble, kept.run), Cost.CHEAP
    yield fresh, Cost.DEAR


def _task(runner: Runner, trouble: Trouble, judge: Judge, cost: Cost) -> Task:
    divergence = _differs(trouble)
    return Task(
        Program.from_wire(trouble.wire),
        judge,
        runner.target.kernel,
        cost,
        divergence.step if divergence else None,
    )
