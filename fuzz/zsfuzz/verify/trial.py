# SPDX-License-Identifier: GPL-2.0-only
"""Run a finding's program several times on fresh guests, and say how often the finding shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from zsfuzz.guest.target import Target
from zsfuzz.runner import Runner, Trouble
from zsmodel import Model

Boot = Callable[[], AbstractContextManager[Target]]


@dataclass(frozen=True)
class Trial:
    """Hold what became of `runs` runs; `hits` of them ended with `title`, `others` otherwise.

    `trouble` is the first run with that title, or, if there is none, the first other one.
    """

    title: str
    runs: int
    hits: int
    others: Counter[str] = field(default_factory=Counter)
    trouble: Trouble | None = None

    @property
    def clean(self) -> bool:
        """Tell whether kernel and model agreed in all runs."""
        return self.trouble is None

    def __str__(self) -> str:
        parts = [f"shows in {self.hits} of {self.runs} runs"] if self.hits else []
        parts += [f"{n} of {self.runs} runs end otherwise: {t}" for t, n in self.others.items()]
        return "; ".join(parts) or f"does not show in {self.runs} runs"


def attempt(boot: Boot, wire: bytes, title: str, runs: int, *, enough: int | None = None) -> Trial:
    """Run a program up to `runs` times, until the finding was seen `enough` times.

    Without a title the first trouble gives it.  Raises HarnessError if no guest comes up.
    """
    hits = tries = 0
    others: Counter[str] = Counter()
    first: Trouble | None = None
    with boot() as target:
        runner = Runner(target, Model(target.kernel))
        while tries < runs and hits < (enough or runs):
            found = runner.run_and_audit(wire)
            tries += 1
            if found is None:
                target.restart()  # after trouble the runner has done so
                continue
            title = title or found.title
            if found.title == title:
                first = first if hits else found
                hits += 1
            else:
                first = first or found
                others[found.title] += 1
    return Trial(title, tries, hits, others, first)
