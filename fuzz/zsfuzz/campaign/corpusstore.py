# SPDX-License-Identifier: GPL-2.0-only
"""The corpus of a campaign: files for good, and pools from which running workers read."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Set
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

    def __init__(self, folder: Path, limit: int, damaged: Path) -> None:
        self.folder = folder
        self._bad: list[str] = []  # files that were no programs, and were moved to `damaged`
        self._limit = limit
        self._damaged = damaged
        self._known: dict[str, bytes] = {}  # digests, and what workers get; nothing: too long
        self._names: set[str] = set()  # of files that were read and are not named by digest
        self._pools: dict[Path, _Pool] = {}
        self._unreadable: Counter[str] = Counter()  # looks at a file that is no program
        self._unsynced: list[Path] = []
        self._changed = 0  # when the folder was, as the file system has it; only compared
        make_directory(folder)
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
                self._note_name(path.name, wires[-1])
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

    def _note_name(self, name: str, wire: bytes) -> None:
        if name.removesuffix(SUFFIX) != digest_of(wire):
            self._names.add(name)

    def _enter(self, wire: bytes) -> None:
        fits = len(wire) <= OP_SIZE * self._limit
        data, digest = encode(wire, self._limit) if fits else b"", digest_of(wire)
        for pool in self._pools.values():
            pool.add(digest, data)
        self._known[digest] = data

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
        self._note_name(path.name, wire)
        if digest_of(wire) in self._known:
            return False
        self._enter(wire)
        return True

    # ---- what workers get -------------------------------------------------------------------

    def open_pool(self, path: Path) -> None:
        """Begin a file for one worker: all programs now, and what comes to be found; OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        pool = _Pool(path)
        self._pools[path] = pool
        for digest, data in self._known.items():
            pool.add(digest, data)

    def close_pool(self, path: Path) -> list[str]:
        """Remove it; gives the digests of its programs in order.  Safe to call twice."""
        pool = self._pools.pop(path, None)
        path.unlink(missing_ok=True)
        return pool.close() if pool else []

    @property
    def digests(self) -> Set[str]:
        """Name all programs."""
        return self._known.keys()

    def retire(self, digests: Iterable[str]) -> None:
        """Remove programs; files that are not named by digest stay, but no worker gets them."""
        for digest in digests:
            (self.folder / f"{digest}{SUFFIX}").unlink(missing_ok=True)
            del self._known[digest]
        self._unsynced = [path for path in self._unsynced if path.exists()]

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
        """Close all pools."""
        for path in list(self._pools):
            self.close_pool(path)


class _Pool:
    """The file of one worker, and what is in it."""

    def __init__(self, path: Path) -> None:
        self._writer = PoolWriter(path)
        self._digests: list[str] = []

    def add(self, digest: str, data: bytes) -> None:
        if data:
            self._writer.add(data)
            self._digests.append(digest)

    def close(self) -> list[str]:
        self._writer.close()
        return self._digests
