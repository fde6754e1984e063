# SPDX-License-Identifier: GPL-2.0-only
"""The dear check at intervals: whether all removed cgroups are gone, and if not, since when."""

from __future__ import annotations

import time
from dataclasses import replace

from zsfuzz.outcome import Outcome
from zsfuzz.runner import Runner, Trouble, carried

INTERVAL = 2.0  # seconds between audits


class Auditor:
    """Remember the programs since the last good audit, to find the one that broke a later one."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._programs: list[bytes] = []
        self._next = time.monotonic() + INTERVAL

    def note(self, wire: bytes) -> None:
        """Remember a program that was run on the present guest."""
        self._programs.append(wire)

    @property
    def last(self) -> bytes:
        """Give the program that was run last, or no bytes."""
        return self._programs[-1] if self._programs else b""

    def forget(self) -> None:
        """Start anew, on a fresh guest."""
        self._programs.clear()

    def due(self, now: float) -> bool:
        """Tell whether the time for an audit has come."""
        return now >= self._next

    def audit(self, now: float) -> Trouble | None:
        """Audit, and on trouble find the program that caused it; FLAKY if replays are clean."""
        self._next = now + INTERVAL
        suspects, self._programs = self._programs, []
        trouble = self._runner.audit()
        if trouble is None:
            return None
        with carried(trouble):
            wire = Search(self._runner, trouble.title).culprit(suspects)
        self._next = time.monotonic() + INTERVAL
        if wire is None:
            return replace(trouble, outcome=Outcome.FLAKY)
        return replace(trouble, wire=wire)


class Search:
    """Find the program after which an audit fails with `title`.

    `disturbed` tells that other trouble came, or a guest was killed from outside, so that nothing
    is known of all the programs; `others` has such troubles.
    """

    def __init__(self, runner: Runner, title: str) -> None:
        self._runner = runner
        self._title = title
        self._killed = runner.killed
        self.others: list[Trouble] = []

    @property
    def disturbed(self) -> bool:
        """Tell whether the search has missed something."""
        return bool(self.others) or self._runner.killed != self._killed

    def culprit(self, programs: list[bytes]) -> bytes | None:
        """Run programs again; None if the trouble does not show any more.

        In steps that double from the first program on, since an audit that passes is cheap, then by
        halving.
        """
        start, step = 0, 1
        while start < len(programs):
            suspects = programs[start : start + step]
            if self._fails(suspects):
                return self._halve(suspects)
            start, step = start + step, 2 * step
        return None

    def _halve(self, programs: list[bytes]) -> bytes:
        while len(programs) > 1:
            half = len(programs) // 2
            first, second = programs[:half], programs[half:]
            programs = first if self._fails(first) else second
        return programs[0]

    def _fails(self, programs: list[bytes]) -> bool:
        for wire in programs:
            found = self._runner.run(wire)
            if found is not None:
                self.others.append(found)
                return False
        found = self._runner.audit()
        if found is not None and found.title != self._title:
            self.others.append(found)
            return False
        return found is not None
