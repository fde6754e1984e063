# SPDX-License-Identifier: GPL-2.0-only
"""Injected allocation failures: what is certain, and where the kernel's word is taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from errno import ENOMEM

# For each armed operation, by its index: the (ret, faults) that the kernel answered.
Words = Mapping[int, tuple[int, int]]


@dataclass(frozen=True)
class Outcome:
    """Say how an armed zs_malloc() ends; `tolerated` names the rule by which that was believed."""

    ret: int
    left: int  # allocations left until the fault
    tolerated: str = ""


def predict(nth: int, needed: int) -> Outcome:
    """Let the `nth` of `needed` allocations fail (should_fail_ex with task->fail_nth)."""
    return Outcome(0, nth - needed) if needed < nth else Outcome(-ENOMEM, 0)


def believe(nth: int, needed: int, word: tuple[int, int] | None) -> Outcome:
    """Follow the kernel's word where slab's own needs may have used up allocations.

    Each of the `needed` allocations may be preceded by others, of slabs and sheaves.  They can only
    bring the fault forward, and slab survives some of their failures.
    """
    sure = predict(nth, needed)
    if word is None or word == (sure.ret, sure.left):
        return sure
    ret, left = word
    if ret == -ENOMEM and left == 0:
        return Outcome(ret, left, "slab_failed")
    if ret == 0 and left == 0 and nth > 1:
        return Outcome(ret, left, "slab_survived")
    if ret == 0 and 0 < left <= nth - needed:
        return Outcome(ret, left, "slab_allocated")
    return sure
