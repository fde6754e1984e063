# SPDX-License-Identifier: GPL-2.0-only
"""Guests that boot ahead of need, for those who throw away one after the other."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from dataclasses import replace
from pathlib import Path

from zsfuzz.errors import HarnessError
from zsfuzz.guest.process import UmlOptions
from zsfuzz.guest.uml import Uml


class Spares:
    """Keep as many guests booting as CPUs can boot them, two at most.

    The trap: each takes the memory of a guest.  Where that does not fit there are fewer, or none.
    """

    def __init__(self, options: UmlOptions, console: Path) -> None:
        self._options = options
        self._console = console
        self._cpus = deque(_cpus(options.cpu))
        self._booting: deque[Uml] = deque()
        self._begun = 0

    def take(self) -> Uml:
        """Give the guest that began to boot first, or a new one, and begin with the next.

        It may not be ready yet; its console is the one that this was made with.
        """
        while self._booting and not self._booting[0].alive:
            _discard(self._booting.popleft())  # whatever ended it: a new one will tell
        uml = self._booting.popleft() if self._booting else Uml(self._options, self._console)
        if uml.console != self._console:
            uml.console = uml.console.replace(self._console)  # the guest has it open
            uml.stay_on(self._options.cpu)
        self._begin()
        return uml

    def _begin(self) -> None:
        while len(self._booting) < len(self._cpus):
            self._begun += 1
            console = self._console.with_name(f"{self._console.name}.{self._begun}")
            options = replace(self._options, cpu=self._cpus[0])
            try:
                self._booting.append(Uml(options, console))
            except HarnessError:  # whoever takes the next guest is told
                return
            self._cpus.rotate()

    def close(self) -> None:
        """End those that nobody took; safe to call twice."""
        while self._booting:
            _discard(self._booting.popleft())


def _discard(uml: Uml) -> None:
    uml.kill()
    with contextlib.suppress(OSError):
        uml.console.unlink()


def _cpus(guest: int | None) -> list[int]:
    """Choose the guest's own CPU and another one: none where a boot would stop all else."""
    if guest is None:
        return []
    others = os.sched_getaffinity(0) - {guest}
    return [*sorted(others)[-1:], guest] if others else []
