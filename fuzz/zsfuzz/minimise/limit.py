# SPDX-License-Identifier: GPL-2.0-only
"""When to be content with the best so far."""

from __future__ import annotations

import time
from collections.abc import Callable

from zsfuzz.outcome import Outcome
from zsfuzz.runner import Trouble

# Seconds that a campaign may stand still for a new finding.
CHEAP_SECONDS, DEAR_SECONDS = 10.0, 60.0


class Limit:
    """Stop after some seconds (None: never), or when `asked` says so."""

    def __init__(self, seconds: float | None, asked: Callable[[], bool] = lambda: False) -> None:
        self._until = None if seconds is None else time.monotonic() + seconds
        self.asked = asked

    def __call__(self) -> bool:
        """Tell whether it is time to stop."""
        return self.asked() or (self._until is not None and time.monotonic() >= self._until)

    @classmethod
    def for_trouble(cls, trouble: Trouble, asked: Callable[[], bool]) -> Limit:
        """Allow more time for what costs a boot or an audit each time."""
        cheap = trouble.outcome is Outcome.DIVERGENCE and trouble.divergence is not None
        return cls(CHEAP_SECONDS if cheap else DEAR_SECONDS, asked)
