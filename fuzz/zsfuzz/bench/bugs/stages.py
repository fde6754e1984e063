# SPDX-License-Identifier: GPL-2.0-only
"""Share a trial's time among the flavours of a kernel, as nobody says which of them sees a bug."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zsfuzz.strategy import Strategy

ROUNDS = 2  # so that a bug for the slowest flavour need not wait for all of the others' time
WEIGHTS = {"plain": 2, "kasan": 1, "lockdep": 1}
ALL = tuple(WEIGHTS)


@dataclass(frozen=True)
class Stage:
    """Fuzz on one flavour for so many seconds, beginning with what the stages before found new."""

    flavour: str
    seconds: float


def stages(strategy: Strategy, seconds: float, flavours: Sequence[str] = ALL) -> Iterator[Stage]:
    """Share `seconds`; without a model plain sees little, and is left out unless it is alone."""
    chosen = [flavour for flavour in ALL if flavour in flavours]
    if not strategy.compared:
        chosen = [flavour for flavour in chosen if flavour != "plain"] or chosen
    rounds = ROUNDS if len(chosen) > 1 else 1
    whole = rounds * sum(WEIGHTS[flavour] for flavour in chosen)
    for _ in range(rounds):
        for flavour in chosen:
            yield Stage(flavour, seconds * WEIGHTS[flavour] / whole)
