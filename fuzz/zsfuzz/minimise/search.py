# SPDX-License-Identifier: GPL-2.0-only
"""The search for a simpler program: what was tried, the best so far, and when to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zsfuzz.minimise.rank import Ops, Rank
from zsfuzz.program import Op, Program

Shows = Callable[[bytes], bool]  # whether a program in wire form still shows the finding
Stop = Callable[[], bool]  # whether to be content with what there is


class Stopped(Exception):
    """The search was asked to stop; its best so far stands."""


class Search:
    """Try candidates, each once; `best` is always a program that was seen to show the finding."""

    def __init__(
        self, ops: Ops, shows: Shows, rank: Rank, stop: Stop, step: int | None = None
    ) -> None:
        """Begin with a program of which `step`, from 1, shows the finding; None: not known."""
        self.best = ops
        self.step = step
        self.runs = 0
        self.rank = rank
        self._shows = shows
        self._stop = stop
        self._seen = {Program(ops).wire}

    def attempt(self, ops: Iterable[Op]) -> bool:
        """Take a candidate as the best if it is simpler and still shows the finding.

        Raises Stopped, and BadProgram for a candidate that a pass should not have made.
        """
        program = Program.of(ops).canonical()
        if program.wire in self._seen or self.rank(program.ops) >= self.rank(self.best):
            return False
        self._seen.add(program.wire)
        if not self.ask(program.wire):
            return False
        self.best = program.ops
        return True

    def ask(self, wire: bytes) -> bool:
        """Run a program; raises Stopped before it if it is time."""
        if self._stop():
            raise Stopped
        self.runs += 1
        return self._shows(wire)
