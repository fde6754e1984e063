# SPDX-License-Identifier: GPL-2.0-only
"""Name what saw a bug first, from the cheapest check to the dearest."""

from __future__ import annotations

from zsfuzz.outcome import Outcome
from zsfuzz.runner import Trouble

# A divergence is seen by one of the first five; the others are the kernel's own.
OPERATION = "operation"  # what one operation answered
SNAPSHOT = "snapshot"  # the state after the last operation
CONTENTS = "contents"  # what objects contain then
END = "end"  # what is left after everything was freed
AUDIT = "audit"  # what outlives the cgroups
SPLAT = "splat"  # the kernel complains
HANG = "hang"  # it does not answer
DEATH = "silent death"  # it is gone without a word
START = "start"  # a guest does not get ready, and does not complain
ANSWER = "unreadable answer"  # it answers what no kernel may


def oracle_of(trouble: Trouble) -> str:
    """Name the check that saw it: a wrong answer comes before the end of the guest."""
    if trouble.outcome is Outcome.DIVERGENCE:
        return _of_divergence(trouble)
    if trouble.splat is not None or trouble.outcome is Outcome.KERNEL_SPLAT:
        return SPLAT
    if trouble.outcome is Outcome.GUEST_HANG:
        return HANG
    if trouble.outcome is Outcome.GUEST_LOST:
        return DEATH
    return _of_divergence(trouble)


def _of_divergence(trouble: Trouble) -> str:
    if trouble.divergence is None:
        return AUDIT
    first = trouble.divergence.first
    if first is None or first.op is not None:
        return OPERATION
    if first.subject == "end":
        return END
    return CONTENTS if first.name == "pattern" else SNAPSHOT
