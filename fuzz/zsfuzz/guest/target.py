# SPDX-License-Identifier: GPL-2.0-only
"""The one interface between programs and whatever runs them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from zsmodel import Kernel


class Target(Protocol):
    """Runs one program at a time; `post` and `collect` let the caller work in between.

    Implementations raise GuestLost or GuestHang from `collect` when the kernel went away or
    stands still, GuestKilled when someone ended it from outside, KernelSplat when it ran the
    program but complained, and HarnessError for faults of ours; after any of these, `restart` must
    be called before the next `post`.
    """

    kernel: Kernel

    def post(self, wire: bytes) -> None:
        """Start a well-formed program (zsfuzz_op records)."""

    def collect(self) -> bytes:
        """Wait for the program that was posted last; results, snapshot and end record."""

    def compares(self, wire: bytes) -> list[tuple[int, int]]:
        """Run a program once more; the pairs of unequal values that the kernel compared."""

    def audit(self) -> int:
        """Remove and remake all cgroups; returns what stayed of the old ones."""

    def console(self) -> str:
        """Read all that the present guest has printed."""

    def restart(self) -> None:
        """Throw the guest away and start a fresh one."""

    def boot_ahead(self) -> AbstractContextManager[None]:
        """Within it, `restart` will be called often: have fresh guests ready, at some cost."""

    def close(self) -> None:
        """End the guest; safe to call twice."""
