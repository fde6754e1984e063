# SPDX-License-Identifier: GPL-2.0-only
"""The place, a shared directory or an object store, through which tasks and supervisor exchange.

corpus/<digest>.msgpack       programs, from all to all
findings/<design>/<id>/...    findings, from tasks; finding.json comes last
reports/<worker>.json         counters and hits of a task so far; written by nobody else
stop/<worker>                 the task of this worker is to end
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from fsspec.core import url_to_fs

from zsfuzz.atomic import TEMPORARY, replace_file

FINDING = "finding.json"


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
        elif self._protocols & {"sftp", "smb", "ftp", "memory"}:
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

    def reported(self, worker: int) -> dict[str, Any]:
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
        folder.mkdir(parents=True, exist_ok=True)

    def both_ways(self) -> None:
        """Copy what one side lacks."""
        here = {path.name for path in self._folder.glob("[!.]*")}
        self._there |= self._exchange.names(self._name)
        for name in sorted(self._there - here):
            data = self._exchange.read(f"{self._name}/{name}")
            if data is not None:
                replace_file(self._folder / name, data, durable=False)
        for name in sorted(here - self._there):
            self._exchange.write(f"{self._name}/{name}", (self._folder / name).read_bytes())
            self._there.add(name)


def send_findings(exchange: Exchange, root: Path, design: str, sent: dict[str, int]) -> None:
    """Send the findings of a task that have changed; `sent` says what was sent when."""
    for folder in sorted((root / "findings" / design).glob("[!.]*")):
        files = sorted((p for p in folder.glob("[!.]*")), key=lambda p: p.name == FINDING)
        for path in files:
            name = path.relative_to(root).as_posix()
            changed = path.stat().st_mtime_ns
            if sent.get(name) != changed:
                exchange.write(name, path.read_bytes())
                sent[name] = changed


def fetch_findings(exchange: Exchange, root: Path, design: str) -> None:
    """Fetch the findings of all tasks; a folder without finding.json is not whole yet."""
    base = f"findings/{design}"
    for number in sorted(exchange.names(base)):
        names = exchange.names(f"{base}/{number}")
        if FINDING not in names:
            continue
        target = root / base / number
        target.mkdir(parents=True, exist_ok=True)
        for name in sorted(names, key=lambda name: name == FINDING):
            data = exchange.read(f"{base}/{number}/{name}")
            path = target / name
            if data is not None and (not path.exists() or path.read_bytes() != data):
                replace_file(path, data, durable=False)
