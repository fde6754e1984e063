# SPDX-License-Identifier: GPL-2.0-only
"""The place, a shared directory or an object store, through which tasks and supervisor exchange.

corpus/<digest>.msgpack       programs, from all to all
findings/<design>/<id>/...    findings, from tasks; finding.json comes last
reports/<worker>.json         counters and hits of a task so far; written by nobody else
stop/<worker>                 the task of this worker is to end
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from fsspec.core import url_to_fs

from zsfuzz.atomic import TEMPORARY, replace_file
from zsfuzz.findings.store import SIGHTINGS

FINDING = "finding.json"
# What file systems of fsspec tell of a file, each some of it.
_STAMP = ("size", "mtime", "created", "LastModified", "last_modified", "ETag", "etag", "updated")


class Exchange:
    """Files below one URL; each is written whole or not at all.  Raises OSError."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, self._root = url_to_fs(url, use_listings_cache=False)
        for folder in ("corpus", "findings", "reports", "stop"):
            self._fs.makedirs(f"{self._root}/{folder}", exist_ok=True)

    def write(self, name: str, data: bytes) -> None:
        """Put a file in one step: object stores do so anyway, directories by a rename."""
        path = f"{self._root}/{name}"
        parent, _, last = path.rpartition("/")
        temporary = f"{parent}/{TEMPORARY}{token_hex(8)}-{last}"
        self._fs.makedirs(parent, exist_ok=True)
        if "file" in self._protocols:
            replace_file(Path(path), data, durable=False)
        elif self._protocols & {"sftp", "ftp", "memory"}:
            self._fs.pipe_file(temporary, data)
            self._fs.mv(temporary, path)
        else:
            self._fs.pipe_file(path, data)

    @property
    def _protocols(self) -> set[str]:
        protocol = self._fs.protocol
        return {protocol} if isinstance(protocol, str) else set(protocol)

    def read(self, name: str) -> bytes | None:
        """Read a file; None if there is none."""
        try:
            data: bytes = self._fs.cat_file(f"{self._root}/{name}")
        except FileNotFoundError:
            return None
        return data

    def read_all(self, folder: str, names: Iterable[str]) -> dict[str, bytes]:
        """Read files of a folder, many at a time where that can be; leaves out what is gone."""
        paths = [f"{self._root}/{folder}/{name}" for name in sorted(names)]
        found = self._fs.cat(paths, on_error="omit") if paths else {}
        return {path.rpartition("/")[2]: data for path, data in found.items()}

    def is_at(self, folder: Path) -> bool:
        """Tell whether the exchange is this folder itself."""
        return "file" in self._protocols and Path(self._root).resolve() == folder.resolve()

    def stamps(self, folder: str) -> dict[str, str]:
        """List a folder with something for each file that changes when the file does."""
        try:
            found = self._fs.ls(f"{self._root}/{folder}", detail=True)
        except FileNotFoundError:
            return {}
        names = {one["name"].rstrip("/").rpartition("/")[2]: one for one in found}
        return {
            name: repr([one.get(key) for key in _STAMP])
            for name, one in names.items()
            if name[:1] != "."
        }

    def names(self, folder: str) -> set[str]:
        """List a folder, but for what is being written."""
        try:
            found = self._fs.ls(f"{self._root}/{folder}", detail=False)
        except FileNotFoundError:
            return set()
        return {n for n in (p.rstrip("/").rpartition("/")[2] for p in found) if n[:1] != "."}

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{name}")

    # ---- reports ----------------------------------------------------------------------------

    def report(self, worker: int, content: dict[str, Any]) -> None:
        """Write what a task has done so far."""
        self.write(f"reports/{worker}.json", json.dumps(content).encode())

    def reported(self, worker: int | str) -> dict[str, Any]:
        """Read that; empty if there is nothing yet."""
        try:
            content: dict[str, Any] = json.loads(self.read(f"reports/{worker}.json") or b"{}")
        except ValueError:
            return {}
        return content


class Mirror:
    """Keeps a folder of files that never change, and the exchange's folder, alike."""

    def __init__(self, exchange: Exchange, name: str, folder: Path) -> None:
        self._exchange = exchange
        self._name = name
        self._folder = folder
        self._there: set[str] = set()
        self._fetched: set[str] = set()  # one that is no program may be gone from the folder
        folder.mkdir(parents=True, exist_ok=True)

    def both_ways(self) -> None:
        """Copy what one side lacks."""
        here = {path.name for path in self._folder.glob("[!.]*")}
        self._there |= self._exchange.names(self._name)
        lacking = self._there - here - self._fetched
        for name, data in self._exchange.read_all(self._name, lacking).items():
            replace_file(self._folder / name, data, durable=False)
            self._fetched.add(name)
        for name in sorted(here - self._there):
            self._exchange.write(f"{self._name}/{name}", (self._folder / name).read_bytes())
            self._there.add(name)


class FindingSender:
    """Sends what a task finds.  Of what another task found it sends only how often it was seen."""

    def __init__(self, exchange: Exchange, root: Path, design: str) -> None:
        self._exchange = exchange
        self._root = root
        self._base = f"findings/{design}"
        self._own: set[str] = set()
        self._sent: dict[str, int] = {}  # when a file that was sent had changed

    def know(self) -> None:
        """Let the explorer know what others found, so that it makes no account of it again."""
        for number in self._exchange.names(self._base):
            data = self._exchange.read(f"{self._base}/{number}/{FINDING}")
            if data is not None:
                path = self._root / self._base / number / FINDING
                path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(path, data, durable=False)

    def send(self) -> None:
        """Send what has changed; finding.json comes last."""
        for folder in sorted((self._root / self._base).glob("[!.]*")):
            paths = sorted(folder.glob("[!.]*"), key=lambda path: path.name == FINDING)
            if not self._is_own(folder.name):
                paths = [path for path in paths if path.name.startswith(SIGHTINGS)]
            for path in paths:
                self._send(path)

    def _is_own(self, number: str) -> bool:
        if number in self._own:
            return True
        if FINDING in self._exchange.names(f"{self._base}/{number}"):
            return False
        self._own.add(number)
        return True

    def _send(self, path: Path) -> None:
        name = path.relative_to(self._root).as_posix()
        changed = path.stat().st_mtime_ns
        if self._sent.get(name) != changed:
            self._exchange.write(name, path.read_bytes())
            self._sent[name] = changed


class FindingFetcher:
    """Fetches the findings of all tasks into a campaign's folder, each file when it has changed."""

    def __init__(self, exchange: Exchange, root: Path) -> None:
        self._exchange = exchange
        self._root = root
        self._fetched: dict[str, str] = {}

    def fetch(self, design: str) -> None:
        """Fetch a design's findings; a folder without finding.json is not whole yet."""
        if self._exchange.is_at(self._root):
            return
        for number in sorted(self._exchange.names(f"findings/{design}")):
            folder = f"findings/{design}/{number}"
            stamps = self._exchange.stamps(folder)
            if FINDING in stamps:
                self._fetch(folder, stamps)

    def _fetch(self, folder: str, stamps: dict[str, str]) -> None:
        fresh = {n for n, stamp in stamps.items() if self._fetched.get(f"{folder}/{n}") != stamp}
        (self._root / folder).mkdir(parents=True, exist_ok=True)
        files = self._exchange.read_all(folder, fresh)
        for name in sorted(files, key=lambda name: name == FINDING):
            replace_file(self._root / folder / name, files[name], durable=False)
            self._fetched[f"{folder}/{name}"] = stamps[name]
