# SPDX-License-Identifier: GPL-2.0-only
"""Name processes for good, so that a recorded one is never taken for another with its number."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """A process: its number, and when it began, in clock ticks of one boot of one machine."""

    pid: int
    birth: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Name a process that runs; None if there is none, or it is a zombie."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else cls(pid, f"{_boot()}-{fields[19]}")

    @property
    def alive(self) -> bool:
        """Tell whether this very process still runs."""
        return Identity.of(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to this very process; False if it has ended."""
        with self._held() as fd:
            if fd is None:
                return False
            signal.pidfd_send_signal(fd, number)
            return True

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; False if it has not."""
        with self._held() as fd:
            return fd is None or bool(select.select([fd], [], [], seconds)[0])

    @contextmanager
    def _held(self) -> Iterator[int | None]:
        """Open the process; while it is open, its number is nobody else's."""
        with contextlib.ExitStack() as stack:
            try:
                fd = os.pidfd_open(self.pid)
            except (ProcessLookupError, PermissionError):
                yield None
                return
            stack.callback(os.close, fd)
            yield fd if self.alive else None


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:13]
