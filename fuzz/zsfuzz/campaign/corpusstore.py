# SPDX-License-Identifier: GPL-2.0-only
"""The corpus of a campaign: files for good, and the pool from which running workers read."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from zsfuzz.atomic import TEMPORARY, make_directory, sync_directory
from zsfuzz.corpusfile import SUFFIX, Entry, load, load_wire, save
from zsfuzz.errors import BadCorpusFile
from zsfuzz.mutation.rawbytes import encode
from zsfuzz.pool import PoolWriter
from zsfuzz.program import OP_SIZE, Program, digest_of

NOTE = "found by zsfuzz campaign: new coverage"
LOOKS = 10  # at a file that is no program, until it is set aside
SYNC_SECONDS = 0.2  # of each look that writing to the disk may take


class CorpusStore:
    """Programs by digest.  `add` raises OutputLost, or OSError, if the disk refuses."""

    def __init__(self, folder: Path, pool: Path, limit: int, damaged: Path) -> None:
        self.folder = folder
        self._bad: list[str] = []  # files that were no programs, and were moved to `damaged`
        self._limit = limit
        self._damaged = damaged
        self._known: set[str] = set()  # digests of programs
        self._names: set[str] = set()  # of files that were read
        self._unreadable: Counter[str] = Counter()  # looks at a file that is no program
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
            else:
                self._names.add(path.name)
        for wire in sorted(wires, key=len):
            self._enter(wire)

    def _set_aside(self, error: BadCorpusFile) -> None:
        # A name that is taken keeps the program from being saved when it is found again.
        self._bad.append(str(error))
        make_directory(self._damaged)
        error.path.rename(self._damaged / error.path.name)

    def take_bad(self) -> list[str]:
        """Say what was moved to `damaged` since the last call."""
        bad, self._bad = self._bad, []
        return bad

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
        with os.scandir(self.folder) as entries:
            names = [e.name for e in entries if e.name.endswith(SUFFIX) and e.name[0] != "."]
        for gone in self._unreadable.keys() - set(names):
            del self._unreadable[gone]
        taken = sum(self._take(self.folder / name) for name in names if not self._has(name))
        if not self._unreadable:
            self._changed = changed
        return taken

    def _has(self, name: str) -> bool:
        return name in self._names or name.removesuffix(SUFFIX) in self._known

    def _take(self, path: Path) -> bool:
        """Take up a file; one that is no program may not be there as a whole yet."""
        try:
            wire = load(path).program.canonical().wire
        except BadCorpusFile as error:
            self._unreadable[path.name] += 1
            if self._unreadable[path.name] >= LOOKS:
                self._set_aside(error)
                del self._unreadable[path.name]
            return False
        del self._unreadable[path.name]
        self._names.add(path.name)
        if digest_of(wire) in self._known:
            return False
        self._enter(wire)
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
