# SPDX-License-Identifier: GPL-2.0-only
"""Choose few sets that reach together all that many reach: greedy set cover.

A set is an int with bits for what is reached, so that thousands of sets of thousands of things are
united and compared in no time.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def union(sets: Iterable[int]) -> int:
    """Unite sets."""
    whole = 0
    for one in sets:
        whole |= one
    return whole


def choose(sets: Mapping[Name, int], reached: int = 0) -> list[Name]:
    """Choose names whose sets reach, with `reached`, all that all do; the same ones each time.

    Each step takes the set that adds most; of equal ones, the one that comes first in `sets`.
    What the others make needless in the end is left out.
    """
    names = list(sets)
    heap = [(-(sets[name] & ~reached).bit_count(), number) for number, name in enumerate(names)]
    heapq.heapify(heap)
    chosen, covered = [], reached
    while heap and heap[0][0]:
        _, number = heap[0]
        # What it adds may have become less since it was counted, never more.
        gain = (sets[names[number]] & ~covered).bit_count()
        heapq.heapreplace(heap, (-gain, number))
        if gain and heap[0] == (-gain, number):
            chosen.append(names[number])
            covered |= sets[names[number]]
    return _without_needless(sets, chosen, reached)


def _without_needless(sets: Mapping[Name, int], chosen: list[Name], reached: int) -> list[Name]:
    """Drop what the rest reaches as well, the smallest sets first."""
    kept = list(chosen)
    for name in sorted(chosen, key=lambda name: sets[name].bit_count()):
        rest = [other for other in kept if other != name]
        if not sets[name] & ~(union(sets[other] for other in rest) | reached):
            kept = rest
    return kept
