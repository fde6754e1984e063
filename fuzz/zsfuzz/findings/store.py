# SPDX-License-Identifier: GPL-2.0-only
"""Save each finding once, whole or not at all, and count how often it was seen."""

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EEXIST, ENOTEMPTY
from pathlib import Path
from secrets import token_hex
from typing import Any

from zsfuzz import corpusfile
from zsfuzz.atomic import TEMPORARY, replace_file, sync_directory, write_synced
from zsfuzz.console.frames import places_of
from zsfuzz.errors import OutputBusy, OutputLost
from zsfuzz.findings.finding import Finding, finding_id
from zsfuzz.outcome import Outcome
from zsfuzz.report.account import account_of
from zsfuzz.report.data import render_json
from zsfuzz.report.plaintext import render_account
from zsfuzz.report.webpage import render_html
from zsfuzz.text import format_program

LOCK_NAME = ".lock"
SUMMARY = "finding.json"
PROGRAM = "program.msgpack"
SIGHTINGS = "seen-"  # and host, process, random number: how often that process met the finding
FOLDED = "seen.json"  # the same of processes that have ended
FOLD_FROM = 32  # files of processes


@dataclass(frozen=True)
class Saved:
    """Say where a finding is, and whether it was new."""

    id: str
    path: Path
    new: bool


@contextmanager
def locked_output(output: Path) -> Iterator[None]:
    """Hold an output directory for one run; raises OutputBusy while another run has it.

    The lock goes away with the last process that inherited it, however that one ends.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(output / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise OutputLost(output, error) from error
    try:
        _take_lock(descriptor, output)
        _remove_leftovers(output / "findings")
        yield
    finally:
        os.close(descriptor)


def _take_lock(descriptor: int, output: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
        raise OutputBusy(output, holder or "of unknown process id") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()}\n".encode(), 0)


def _remove_leftovers(root: Path) -> None:
    # What a killed run had not finished; only the holder of the lock may do this.
    for path in sorted(root.rglob(f"{TEMPORARY}*")):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


class FindingStore:
    """Keep findings in a folder of `output`; several processes may use the same directory.

    A finding's directory is named after its outcome and title, and comes to be by one rename: that
    is what keeps one of each, whoever is first.
    """

    def __init__(self, output: Path, folder: str = "findings") -> None:
        self.root = output / folder
        self._token = f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"
        self._counts: dict[str, int] = {}
        self._written: dict[str, int] = {}

    def known(self, outcome: Outcome, title: str) -> bool:
        """Tell whether this finding is saved, so that no report need be made."""
        name = finding_id(outcome, title)
        return name in self._counts or (self.root / name).is_dir()

    def save(self, finding: Finding) -> Saved:
        """Save a finding, or count it if it is known; raises OutputLost."""
        path = self.root / finding.id
        new = not self.known(finding.outcome, finding.title) and self._create(finding, path)
        self.count(finding.outcome, finding.title)
        return Saved(finding.id, path, new)

    def rewrite(self, finding: Finding) -> None:
        """Put a better account in the place of a saved finding; raises OutputLost."""
        path = self.root / finding.id
        for name, data in _files(finding, path).items():
            replace_file(path / name, data)

    def count(self, outcome: Outcome, title: str) -> bool:
        """Count one more sighting of a saved finding; a kill loses the last half at worst.

        True if this process has met it 1, 2, 4, 8, ... times.
        """
        name = finding_id(outcome, title)
        seen = self._counts[name] = self._counts.get(name, 0) + 1
        if seen & (seen - 1):
            return False
        self._write_count(name)
        return True

    def replace_flaky(self, finding: Finding) -> None:
        """Remove the flaky finding of the same title; how often it was met counts for this one."""
        name = finding_id(Outcome.FLAKY, finding.title)
        self._write_count(name)
        # The sighting that led here is in both counts.
        self._counts[finding.id] += max(0, sightings(self.root / name) - 1)
        shutil.rmtree(self.root / name, ignore_errors=True)
        self._counts.pop(name, None)
        self._write_count(finding.id)

    def close(self) -> None:
        """Write all counts."""
        for name in self._counts:
            self._write_count(name)

    def _write_count(self, name: str) -> None:
        seen = self._counts[name]
        if self._written.get(name) != seen and (self.root / name).is_dir():
            replace_file(self.root / name / f"{SIGHTINGS}{self._token}", f"{seen}\n".encode())
            self._written[name] = seen

    def _create(self, finding: Finding, path: Path) -> bool:
        temporary = self.root / f"{TEMPORARY}{self._token}-{token_hex(4)}"
        try:
            try:
                temporary.mkdir(parents=True)
                for name, data in _files(finding, path).items():
                    write_synced(temporary / name, data)
                sync_directory(temporary)
                temporary.rename(path)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            sync_directory(self.root)
        except OSError as error:
            if error.errno in (EEXIST, ENOTEMPTY):
                return False  # another process was first
            raise OutputLost(path, error) from error
        return True


def _files(finding: Finding, path: Path) -> dict[str, bytes]:
    note = f"{finding.outcome.value}: {finding.title}"
    design = str(finding.kernel.get("design", ""))
    extra: dict[str, Any] = {"seed": finding.seed}
    if profile := finding.kernel.get("profile"):
        extra["profile"] = profile
    entry = corpusfile.Entry(finding.program, note, design, extra)
    account = account_of(finding, path / PROGRAM, places_of(finding.kernel))
    return {
        PROGRAM: corpusfile.pack(entry),
        "program.txt": format_program(finding.program).encode(),
        "report.txt": render_account(account).encode(),
        "report.html": render_html(account).encode(),
        "report.json": render_json(account).encode(),
        "console.log": finding.console.encode(errors="replace"),
        "kernel.json": _json(dict(finding.kernel)),
        SUMMARY: _json(summary(finding)),
    }


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, default=str) + "\n").encode()


def summary(finding: Finding) -> dict[str, Any]:
    """Make the content of finding.json: what programs want to know of a finding."""
    first = finding.divergence.first if finding.divergence else None
    return {
        "id": finding.id,
        "outcome": finding.outcome.value,
        "title": finding.title,
        "operations": len(finding.program),
        "step": finding.step,
        "path": first.path if first else None,
        "model": first.model if first else None,
        "kernel": first.kernel if first else None,
        "seed": finding.seed,
        "flavours": list(finding.flavours),
        "silent_on": list(finding.silent_on),
        "reproduced": finding.reproduced,
        "minimised": finding.minimised,
    }


# ---- reading -------------------------------------------------------------------------------


def list_findings(output: Path, folder: str = "findings") -> list[dict[str, Any]]:
    """Read the saved findings from their finding.json, with "seen": how often each was met.

    A directory without a readable finding.json is left out.
    """
    found = []
    for path in sorted((output / folder).glob(f"[!.]*/{SUMMARY}")):
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and content.keys() >= {"outcome", "title"}:
            facts = {"id": path.parent.name, "seen": sightings(path.parent)}
            found.append(content | facts)
    return found


def sightings(directory: Path) -> int:
    """Add up how often all processes met the finding of this directory."""
    total, folded = _folded(directory)
    counts = _counts(directory)
    return total + sum(n for name, n in counts.items() if name not in folded)


def fold_sightings(directory: Path) -> None:
    """Add up the counts of processes of this machine that have ended, once there are many.

    One process at a time may call it.  A kill in between is harmless: the sum names what is in it
    until that is removed.
    """
    if sum(1 for _ in directory.glob(f"{SIGHTINGS}*")) < FOLD_FROM:
        return
    counts = _counts(directory)
    total, folded = _folded(directory)
    for name in folded & counts.keys():
        (directory / name).unlink(missing_ok=True)
    ended = {name: n for name, n in counts.items() if name not in folded and _has_ended(name)}
    content = {"seen": total + sum(ended.values()), "of": sorted(ended)}
    replace_file(directory / FOLDED, json.dumps(content).encode())
    for name in ended:
        (directory / name).unlink(missing_ok=True)


def _counts(directory: Path) -> dict[str, int]:
    counts = {}
    for path in directory.glob(f"{SIGHTINGS}*"):
        with suppress(OSError, ValueError):
            counts[path.name] = int(path.read_bytes())
    return counts


def _folded(directory: Path) -> tuple[int, set[str]]:
    """Read the sum of ended processes, and the names of files in it that may still be there."""
    try:
        content = json.loads((directory / FOLDED).read_bytes())
        return int(content["seen"]), {str(name) for name in content["of"]}
    except (OSError, ValueError, KeyError, TypeError):
        return 0, set()


def _has_ended(name: str) -> bool:
    host, _, process = name.removeprefix(SIGHTINGS).rpartition("-")[0].rpartition("-")
    return host == socket.gethostname() and not Path(f"/proc/{process}").exists()
