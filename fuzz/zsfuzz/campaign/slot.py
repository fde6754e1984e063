# SPDX-License-Identifier: GPL-2.0-only
"""One of the places at which workers run, one after the other, at any time at most one."""

from __future__ import annotations

from dataclasses import dataclass

from zsfuzz.campaign.worker import Order, Worker
from zsfuzz.corpus.keeper import InputKeeper

FIRST_PAUSE = 0.5  # seconds after the first death; each further one doubles it
LONGEST_PAUSE = 60.0
HEALTHY = 30.0  # seconds of running after which earlier deaths are forgotten


class Backoff:
    """How long to wait before a worker is started again; all in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._deaths = 0
        self.until = 0.0

    def died(self, now: float, lived: float) -> float:
        """Count a death; returns the pause."""
        self._deaths = 0 if lived >= HEALTHY else self._deaths
        pause = float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._deaths, 10)))
        self._deaths += 1
        self.until = now + pause
        return pause

    def lived(self) -> None:
        """Forget the deaths: a worker has ended in order."""
        self._deaths = 0

    def over(self, now: float) -> bool:
        """Tell whether a worker may be started."""
        return now >= self.until


@dataclass
class Running:
    """A worker at its slot, and what was seen of it."""

    order: Order
    worker: Worker
    keeper: InputKeeper | None
    started: float  # by a monotonic clock
    beats: int = -1
    last_beat: float = 0.0
    why: str | None = None  # it has ended; what it left is still to be taken up
    killed: str = ""  # why we killed it

    def stalled(self, now: float, beats: int, limit: float) -> bool:
        """Tell whether it has run nothing for `limit` seconds."""
        if beats != self.beats:
            self.beats, self.last_beat = beats, now
        return now - self.last_beat > limit


@dataclass
class Slot:
    """A place for a worker."""

    number: int
    backoff: Backoff
    running: Running | None = None
