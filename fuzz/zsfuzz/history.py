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
            wire = find_culprit(self._runner, suspects, trouble.title)
        self._next = time.monotonic() + INTERVAL
        if wire is None:
            return replace(trouble, outcome=Outcome.FLAKY)
        return replace(trouble, wire=wire)


def find_culprit(runner: Runner, programs: list[bytes], title: str) -> bytes | None:
    """Find the program after which an audit fails with `title`.

    In steps that double from the first program on, since an audit that passes is cheap, then by
    halving.  Returns None if running them all again does not show the trouble any more.
    """
    start, step = 0, 1
    while start < len(programs):
        suspects = programs[start : start + step]
        if _fails(runner, suspects, title):
            return _halve(runner, suspects, title)
        start, step = start + step, 2 * step
    return None


def _halve(runner: Runner, programs: list[bytes], title: str) -> bytes:
    while len(programs) > 1:
        half = len(programs) // 2
        first, second = programs[:half], programs[half:]
        programs = first if _fails(runner, first, title) else second
    return programs[0]


def _fails(runner: Runner, programs: list[bytes], title: str) -> bool:
    for wire in programs:
        if runner.run(wire) is not None:
            return False
    found = runner.audit()
    return found is not None and found.title == title
