# SPDX-License-Identifier: GPL-2.0-only
"""Whether a finding comes again, where else it shows, and if it does not, what that may mean."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zsfuzz.errors import BootFailed, HarnessError
from zsfuzz.guest.machine import Machine
from zsfuzz.outcome import Outcome
from zsfuzz.runner import Runner, Trouble
from zsmodel import Model

REPLAYS = 10
REPLAY_SECONDS = 30.0  # after which no further replay is begun: each one of a hang takes long

Stop = Callable[[], bool]
Boot = Callable[[], Machine]

LIKELY_CAUSES = {
    Outcome.DIVERGENCE: (
        "an earlier program left something in the guest that only showed here",
        "an allocation failed for want of memory",
        "deferred work of the kernel ended at another time",
    ),
    Outcome.KERNEL_SPLAT: (
        "an earlier program did the damage, and the kernel noticed it here",
        "the complaint depends on how long the guest had been running",
    ),
    Outcome.GUEST_HANG: ("the host was too busy to let the guest go on",),
    Outcome.GUEST_LOST: (
        "the guest was ended from outside, for instance for want of memory",
        "an earlier program did the damage",
    ),
}


@dataclass(frozen=True)
class Reproduced:
    """How often a finding came again."""

    hits: int
    tries: int

    @property
    def pair(self) -> tuple[int, int] | None:
        """Give it as Finding has it; None if there was no program to try."""
        return (self.hits, self.tries) if self.tries else None


def reproduce(
    runner: Runner, trouble: Trouble, stop: Stop = lambda: False, enough: int = REPLAYS
) -> Reproduced:
    """Replay a program on fresh guests, and count how often it ends with the same title.

    The first try is always made.  `enough` hits, `stop`, and slow replays end it before the last.
    """
    with runner.target.boot_ahead():
        return _reproduce(runner, trouble, stop, enough)


def _reproduce(runner: Runner, trouble: Trouble, stop: Stop, enough: int) -> Reproduced:
    def comes_again() -> bool:
        again = runner.replay(trouble.wire)
        return again is not None and again.title == trouble.title

    return count_hits(comes_again, stop, enough) if trouble.wire else Reproduced(0, 0)


def count_hits(
    comes_again: Callable[[], bool], stop: Stop = lambda: False, enough: int = REPLAYS
) -> Reproduced:
    """Try again, and count; the first try is always made, and what ends it is as in `reproduce`."""
    hits = tries = 0
    until = time.monotonic() + REPLAY_SECONDS
    while tries < REPLAYS and hits < enough:
        if tries and (stop() or time.monotonic() > until):
            break
        hits += comes_again()
        tries += 1
    return Reproduced(hits, tries)


def flaky_causes(trouble: Trouble, seen: Reproduced) -> str:
    """Say what may lie behind a finding that does not come again."""
    tried = (
        f"not in {seen.tries} replays on fresh guests" if seen.tries else "with no program alone"
    )
    causes = LIKELY_CAUSES.get(trouble.outcome, ())
    listed = "".join(f"\n    - {cause}" for cause in causes)
    return f"a {trouble.outcome.value}, {tried}; likely causes:{listed}"


@dataclass(frozen=True)
class Elsewhere:
    """Other flavours: on which it shows, on which not, and what is worth saying about that."""

    shows: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def try_elsewhere(trouble: Trouble, guests: Mapping[str, Boot]) -> Elsewhere:
    """Run the program once on each other flavour; one that does not boot is only noted."""
    shows: list[str] = []
    silent: list[str] = []
    notes = []
    for flavour, start in guests.items():
        try:
            found = _run_once(start, trouble.wire)
        except (BootFailed, HarnessError) as error:
            notes.append(f"not tried on {flavour}: {error}")
            continue
        (shows if found else silent).append(flavour)
        if found and found.title != trouble.title:
            notes.append(f"on {flavour} it is a {found.outcome.value}: {found.title}")
    return Elsewhere(tuple(shows), tuple(silent), tuple(notes))


def _run_once(start: Boot, wire: bytes) -> Trouble | None:
    with start() as machine:
        return Runner(machine, Model(machine.kernel)).examine(wire)
