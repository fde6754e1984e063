# SPDX-License-Identifier: GPL-2.0-only
"""What each program reaches: coverage sites of mm/zsmalloc.c, and situations of the model."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.boot import boot
from zsfuzz.coverage import Coverage, CoverageMap
from zsfuzz.guest.machine import Machine
from zsfuzz.runner import Runner, Trouble
from zsmodel import Model
from zsmodel.features import SITUATIONS
from zstools.kernel import Kernel

_BITS = bytes([0, *[1] * 255])  # for bytes.translate(): 0 stays, all else becomes 1


class Meter:
    """One guest and one model that tell what programs reach.

    A set of what is reached has one byte for each site, then one for each situation: see cover.py.
    """

    def __init__(self, machine: Machine) -> None:
        self.sites = machine.counter_count
        self._counters = mmap.mmap(-1, -(-self.sites // mmap.PAGESIZE) * mmap.PAGESIZE)
        machine.map_counters(ctypes.addressof(ctypes.c_char.from_buffer(self._counters)))
        self._situations = bytearray(SITUATIONS)
        self.trouble: Trouble | None = None  # of the last program
        self._runner = Runner(machine, Model(machine.kernel, self._situations))

    def reach(self, wire: bytes) -> int | None:
        """Run a program; gives what it reached, None if it ended in trouble: see `trouble`."""
        self._counters[: self.sites] = bytes(self.sites)
        self._situations[:] = bytes(SITUATIONS)
        self.trouble = self._runner.run(wire)
        if self.trouble is not None:
            return None
        seen = self._counters[: self.sites] + bytes(self._situations)
        return int.from_bytes(seen.translate(_BITS), "little")


@dataclass(frozen=True)
class Reached:
    """What programs reach, by name, on one kernel; `troubled` are those not counted."""

    sites: int
    sets: Mapping[Path, int]
    troubled: tuple[Path, ...] = ()

    def hits(self, reached: int) -> list[int]:
        """Give a 1 for each coverage site that is in a set, else a 0."""
        data = reached.to_bytes(self.sites + SITUATIONS, "little")
        return list(data[: self.sites])

    def situations(self, reached: int) -> int:
        """Count the situations of the model in a set."""
        return (reached >> (8 * self.sites)).bit_count()

    def measure(self, kernel: Kernel, reached: int) -> Coverage:
        """Give the kernel's coverage in a set."""
        return CoverageMap(kernel.layout).measure(self.hits(reached))


def measure(kernel: Kernel, programs: Iterable[tuple[Path, bytes]], scratch: Path) -> Reached:
    """Run programs, each named by its file, and note what each reaches."""
    sets, troubled = {}, []
    with boot(kernel, scratch / "console") as machine:
        meter = Meter(machine)
        for path, wire in programs:
            reached = meter.reach(wire)
            if reached is None:
                troubled.append(path)
            sets[path] = reached or 0
        return Reached(meter.sites, sets, tuple(troubled))
