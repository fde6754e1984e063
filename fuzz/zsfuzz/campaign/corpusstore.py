# SPDX-License-Identifier: GPL-2.0-only
"""The corpus of a campaign: files for good, and the pool from which running workers read."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from zsfuzz.atomic import TEMPORARY, make_directory, sync_directory
from zsfuzz.corpusfile import SUFFIX, Entry, load, load_wire, save
from zsfuzz.errors import BadCorpusFile
from zsfuzz.mutation.rawbytes import encode
from zsfuzz.pool import PoolWriter
from zsfuzz.program import OP_SIZE, Program, digest_of

NOTE = "found by zsfuzz campaign: new coverage"
SYNC_SECONDS = 0.2  # of each look that writing to the disk may take


class CorpusStore:
    """Programs by digest.  `add` raises OutputLost, or OSError, if the disk refuses."""

    def __init__(self, folder: Path, pool: Path, limit: int, damaged: Path) -> None:
        self.folder = folder
        self.bad: list[str] = []  # files that were no programs, and were moved to `damaged`
        self._limit = limit
        self._damaged = damaged
        self._known: set[str] = set()
        self._unsynced: list[Path] = []
        self._changed = 0  # when the folder was, as the file system has it; only compared
        make_directory(folder)
        pool.parent.mkdir(parents=True, exist_ok=True)
        self._pool = PoolWriter(pool)
        self._load()

    def __len__(self) -> int:
        return len(self._known)

    def _load(self) -> None:
        """Take up the corpus as it is, the shortest programs first."""
        for path in self.folder.glob(f"{TEMPORARY}*"):
            path.unlink(missing_ok=True)
        wires = []
        for path in sorted(self.folder.glob(f"[!.]*{SUFFIX}")):
            try:
                wires.append(load_wire(path))
            except BadCorpusFile as error:
                self._set_aside(error)
        for wire in sorted(wires, key=len):
            self._enter(wire)

    def _set_aside(self, error: BadCorpusFile) -> None:
        # A name that is taken keeps the program from being saved when it is found again.
        self.bad.append(str(error))
        make_directory(self._damaged)
        error.path.rename(self._damaged / error.path.name)

    def _enter(self, wire: bytes) -> None:
        if len(wire) <= OP_SIZE * self._limit:
            self._pool.add(encode(wire, self._limit))
        self._known.add(digest_of(wire))

    def add(self, program: Program, note: str = NOTE) -> bool:
        """Save a program and let all workers know; False if it was there."""
        program = program.canonical()
        if program.digest in self._known:
            return False
        self._unsynced.append(save(self.folder, Entry(program, note), durable=False))
        self._enter(program.wire)
        return True

    def look_now(self) -> int:
        """Take up programs that others put into the folder; returns how many."""
        changed = self.folder.stat().st_mtime_ns
        if changed == self._changed:
            return 0
        self._changed = changed
        with os.scandir(self.folder) as entries:
            names = [e.name for e in entries if e.name.endswith(SUFFIX) and e.name[0] != "."]
        fresh = [name for name in names if name.removesuffix(SUFFIX) not in self._known]
        return sum(self._take(self.folder / name) for name in fresh)

    def _take(self, path: Path) -> bool:
        try:
            wire = load(path).program.canonical().wire
        except BadCorpusFile as error:
            self._set_aside(error)
            return False
        if digest_of(wire) not in self._known:
            self._enter(wire)
        self._known.add(path.name.removesuffix(SUFFIX))
        return True

    def sync(self) -> None:
        """Make durable what was added, for a while at most; a kill loses nothing without it."""
        until = time.monotonic() + SYNC_SECONDS
        if not self._unsynced:
            return
        with suppress(OSError):
            while self._unsynced and time.monotonic() < until:
                fd = os.open(self._unsynced.pop(), os.O_RDONLY)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
            sync_directory(self.folder)

    def close(self) -> None:
        """Close the pool."""
        self._pool.close()
