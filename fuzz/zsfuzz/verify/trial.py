# SPDX-License-Identifier: GPL-2.0-only
"""Run a finding's program several times on fresh guests, and say how often the finding shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache

from zsfuzz.bootfailure import boot_trouble
from zsfuzz.errors import BootFailed
from zsfuzz.guest.target import Target
from zsfuzz.runner import Runner, Trouble
from zsmodel import Kernel, Model

_model = lru_cache(maxsize=1)(Model)  # making one takes longer than most programs
Boot = Callable[[], AbstractContextManager[Target]]


@dataclass(frozen=True)
class Trial:
    """Hold what became of `runs` runs; `hits` of them ended with `title`, `others` otherwise.

    `trouble` is the first run with that title, or, if there is none, the first other one.  `kernel`
    is what a guest said of itself, None if none got ready.
    """

    title: str
    runs: int
    hits: int
    others: Counter[str] = field(default_factory=Counter)
    trouble: Trouble | None = None
    kernel: Kernel | None = None

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

    Without a title the first trouble gives it.  Raises HarnessError if no guest comes up; one whose
    kernel complains has its title from that.
    """
    hits = tries = 0
    others: Counter[str] = Counter()
    first: Trouble | None = None
    kernel: Kernel | None = None
    while tries < runs and hits < (enough or runs):
        found, described = _run_once(boot, wire)
        kernel = described or kernel
        tries += 1
        if found is None:
            continue
        title = title or found.title
        if found.title == title:
            first = first if hits else found
            hits += 1
        else:
            first = first or found
            others[found.title] += 1
    return Trial(title, tries, hits, others, first, kernel)


def _run_once(boot: Boot, wire: bytes) -> tuple[Trouble | None, Kernel | None]:
    """Run the program on a guest of its own, if one gets ready, and say what kernel that has."""
    try:
        with boot() as target:
            kernel = target.kernel
            return Runner(target, _model(kernel)).examine(wire), kernel
    except BootFailed as error:
        return boot_trouble(error, wire), None
