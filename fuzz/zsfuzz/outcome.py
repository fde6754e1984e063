# SPDX-License-Identifier: GPL-2.0-only
"""What a program, or a whole run, can end in."""

from collections.abc import Iterable
from enum import Enum

EXIT_CLEAN = 0
EXIT_FINDINGS = 1
EXIT_HARNESS_ERROR = 2


class Outcome(Enum):
    """Name the verdict on one program; the value is the word in reports and in JSON."""

    AGREE = "agree"
    DIVERGENCE = "divergence"
    KERNEL_SPLAT = "kernel splat"
    GUEST_HANG = "guest hang"
    GUEST_LOST = "guest lost"
    HARNESS_ERROR = "harness error"
    FLAKY = "flaky"

    @property
    def exit_code(self) -> int:
        """Give the exit code of a run that saw nothing worse than this."""
        if self is Outcome.AGREE:
            return EXIT_CLEAN
        return EXIT_HARNESS_ERROR if self is Outcome.HARNESS_ERROR else EXIT_FINDINGS


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Give the exit code of a run; a harness error outweighs the findings it may have made."""
    return max((outcome.exit_code for outcome in outcomes), default=EXIT_CLEAN)
