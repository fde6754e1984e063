# SPDX-License-Identifier: GPL-2.0-only
"""A file of programs that grows: what one worker found new, all others read from its end.

One process writes, any number read.  Each program is its length, four bytes, and the raw bytes that
libFuzzer knows it by.
"""

from __future__ import annotations

import json
import os
import struct
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_LENGTH = struct.Struct("<I")
_CHUNK = 1 << 20  # bytes that are read at a time


class PoolWriter:
    """Begin the file anew, and append to it; raises OSError."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._end = 0

    def add(self, data: bytes) -> None:
        """Append a program, whole or not at all."""
        record = _LENGTH.pack(len(data)) + data
        written = 0
        try:
            while written < len(record):
                written += os.pwrite(self._fd, record[written:], self._end + written)
        except OSError:
            os.ftruncate(self._fd, self._end)
            raise
        self._end += written

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class PoolReader:
    """Read what was appended since the last time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def take(self) -> list[bytes]:
        """Give the programs that are new; one that is being written comes the next time."""
        found: list[bytes] = []
        with self._path.open("rb") as file:
            while True:
                file.seek(self._at)
                data = file.read(_CHUNK)
                programs, used = _split(data)
                found += programs
                self._at += used
                if not used:
                    return found


def _split(data: bytes) -> tuple[list[bytes], int]:
    """Cut off whole programs; also give how many bytes these took."""
    programs, at = [], 0
    while at + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        end = at + _LENGTH.size + length
        if end > len(data):
            break
        programs.append(data[at + _LENGTH.size : end])
        at = end
    return programs, at


class Incoming:
    """Programs from others, which libFuzzer is given as if it had made them by mutation.

    What brings new coverage here, libFuzzer then keeps; the rest costs one run.
    """

    def __init__(self, path: Path) -> None:
        self._reader = PoolReader(path)
        self._fresh: deque[bytes] = deque()
        self._postponed: list[bytes] = []
        self._last = b""
        self.read = 0  # programs that were taken from the file

    def look(self) -> None:
        """Take up what is new, and once more what was postponed."""
        fresh = self._reader.take()
        self.read += len(fresh)
        self._fresh.extend(fresh)
        self._fresh.extend(self._postponed)
        self._postponed.clear()

    def next(self, max_size: int) -> bytes:
        """Hand out a program; no bytes if there is none now."""
        while self._fresh:
            data = self._fresh.popleft()
            if len(data) <= max_size:
                self._last = data
                return data
        return b""

    def left(self) -> list[bytes]:
        """List what was read and not run yet."""
        return [*self._fresh, *self._postponed]

    def postpone(self, data: bytes) -> None:
        """Hand `data` out again later, if it was the last one: there was no time to run it."""
        if data == self._last:
            self._postponed.append(data)


@dataclass(frozen=True)
class Offer:
    """How many programs a worker took from its pool, and those of them that it had no time for."""

    read: int
    left: frozenset[str]  # digests

    def write(self, path: Path) -> None:
        """Write it for the supervisor."""
        path.write_text(json.dumps({"read": self.read, "left": sorted(self.left)}))

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Read it; None if the worker did not end in order."""
        try:
            facts = json.loads(path.read_bytes())
            return cls(int(facts["read"]), frozenset(map(str, facts["left"])))
        except (OSError, ValueError, KeyError, TypeError):
            return None
