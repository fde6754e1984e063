# SPDX-License-Identifier: GPL-2.0-only
"""Share the time of all workers among designs, flavours, variants and fault injection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from zsfuzz.campaign.options import DEFAULT
from zstools.kernel import Kernel

# Of the time, plain kernels get the most, as they find new coverage the fastest.
FLAVOUR_WEIGHTS = {"plain": 4, "kasan": 2, "lockdep": 1}
FAULT_WEIGHTS = {"usual": 3, "many": 1}


@dataclass(frozen=True)
class Assignment:
    """What a worker is to run."""

    kernel: Kernel
    faults: str

    @property
    def key(self) -> tuple[str, str]:
        """Name it as the database does."""
        return self.kernel.key, self.faults

    @property
    def variant(self) -> str:
        """Name the variant of the configuration."""
        return "-".join(self.kernel.spec.variants) or DEFAULT

    @property
    def weight(self) -> int:
        """Say how much time it is to get, beside others."""
        usual = 2 if self.variant == DEFAULT else 1
        return usual * FLAVOUR_WEIGHTS[self.kernel.spec.flavour] * FAULT_WEIGHTS[self.faults]


class Schedule:
    """Hand out the assignment that has had the least time for its weight, the earlier of equals."""

    def __init__(self, assignments: Sequence[Assignment], slice_seconds: float) -> None:
        self.assignments = list(assignments)
        self._slice = slice_seconds
        self._had: Counter[tuple[str, str]] = Counter()
        self._promised: Counter[tuple[str, str]] = Counter()

    def had(self, key: tuple[str, str], seconds: float) -> None:
        """Note time that was spent."""
        self._had[key] += seconds  # type: ignore[assignment]

    def take(self) -> Assignment:
        """Choose the next one; `give_back` is to be called when its worker has ended."""
        chosen = min(self.assignments, key=self._urgency)
        self._promised[chosen.key] += 1
        return chosen

    def give_back(self, assignment: Assignment, seconds: float, *, died: bool = False) -> None:
        """Note that a worker has ended, and how long it ran.

        Who dies has had its turn, however short: a kernel that does not boot would get them all.
        """
        self._promised[assignment.key] -= 1
        self.had(assignment.key, max(seconds, self._slice) if died else seconds)

    def _urgency(self, assignment: Assignment) -> float:
        key = assignment.key
        return (self._had[key] + self._slice * self._promised[key]) / assignment.weight
