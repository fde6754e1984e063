# SPDX-License-Identifier: GPL-2.0-only
"""Say what a guest that complained, hangs or is gone has come to, in words that make a title."""

from __future__ import annotations

from collections.abc import Sequence

from zsfuzz.console.complaints import HOST, Splat, find_splats, last_words
from zsfuzz.errors import (
    BootFailed,
    GuestHang,
    GuestKilled,
    HarnessError,
    KernelSplat,
    Unanswered,
)
from zsfuzz.outcome import Outcome

# What also comes of a guest without memory or agent, or of a host that is too busy.
_PERHAPS_OURS = {"panic", "stall", "lockup", "hung task"}


def blames_kernel(splats: Sequence[Splat]) -> bool:
    """Tell of complaints at boot whether they are evidence against the kernel.

    The first one decides, as a warning may end in a panic; a want of memory excuses all others.
    """
    if not splats or any(splat.kind in (HOST, "out of memory") for splat in splats):
        return False
    return splats[0].kind not in _PERHAPS_OURS


def demise_of(error: Unanswered | KernelSplat | BootFailed) -> tuple[Outcome, str, Splat | None]:
    """Find outcome, title and the first complaint; HarnessError if this machine is to blame.

    A guest that was killed from outside is raised again: that is such an error.
    """
    splats = find_splats(error.console)
    for splat in splats:
        if splat.kind == HOST:
            raise HarnessError(f"{splat.title}: free some space on /dev/shm, then start again")
    if splats:
        return Outcome.KERNEL_SPLAT, splats[0].title, splats[0]
    if isinstance(error, GuestKilled):
        raise error
    if isinstance(error, KernelSplat):
        return Outcome.KERNEL_SPLAT, "kernel tainted itself without a message", None
    if isinstance(error, GuestHang):
        return Outcome.GUEST_HANG, "guest does not answer", None
    words = last_words(error.console)
    return Outcome.GUEST_LOST, f"agent gave up {words}" if words else "guest went away", None
