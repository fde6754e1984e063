# SPDX-License-Identifier: GPL-2.0-only
"""Counters that a worker keeps and its supervisor reads, in one small shared file."""

from __future__ import annotations

import mmap
from pathlib import Path

from zsfuzz.outcome import Outcome
from zsfuzz.program import Opcode

_TALLY_EVERY = 1 << 16  # bytes of opcodes that are counted in one go


class Stats:
    """64-bit counters by name; single writer, any number of readers, valid at all times."""

    NAMES = (
        "programs",
        "operations",
        "skipped",  # programs left out because dear operations had their share of the time
        "restarts",
        "killed",  # guests, from outside
        "audits",
        "tolerated",
        "settled",  # new findings that were replayed, minimised and saved
        "microseconds",  # from the first program on
        "beats",  # programs of any kind, those of triage too: it stands still if the worker does
        "no swap path",  # 1: the kernel refuses the operations on pages of processes
        *(f"outcome {outcome.value}" for outcome in Outcome),
        *(f"op {opcode.name.lower()}" for opcode in Opcode),
    )

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            path.write_bytes(bytes(8 * len(self.NAMES)))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8 * len(self.NAMES))
        self.values = memoryview(self._memory).cast("Q")
        self.index = {name: i for i, name in enumerate(self.NAMES)}
        self._opcodes = bytearray()

    def __getitem__(self, name: str) -> int:
        return self.values[self.index[name]]

    def add(self, name: str, count: int = 1) -> None:
        """Count up."""
        self.values[self.index[name]] += count

    def set(self, name: str, value: int) -> None:
        """Overwrite a counter."""
        self.values[self.index[name]] = value

    def beat(self) -> None:
        """Show that the worker goes on."""
        self.values[_BEATS] += 1

    def program(self, wire: bytes) -> None:
        """Count a program and its operations; kinds of operations appear with a delay."""
        values, opcodes = self.values, wire[::8]
        values[0] += 1
        values[1] += len(opcodes)
        self._opcodes += opcodes
        if len(self._opcodes) > _TALLY_EVERY:
            self.tally()

    def tally(self) -> None:
        """Bring the counts of operations by kind up to date."""
        for opcode in Opcode:
            self.add(f"op {opcode.name.lower()}", self._opcodes.count(int(opcode)))
        self._opcodes.clear()

    def as_dict(self) -> dict[str, int]:
        """Copy all counters."""
        return dict(zip(self.NAMES, self.values.tolist(), strict=True))


_BEATS = Stats.NAMES.index("beats")


def read_stats(path: Path) -> dict[str, int]:
    """Read the counters of a worker that may have ended; empty if the file is not whole."""
    try:
        data = path.read_bytes()
    except OSError:
        return {}
    if len(data) != 8 * len(Stats.NAMES):
        return {}
    return dict(zip(Stats.NAMES, memoryview(data).cast("Q").tolist(), strict=True))
