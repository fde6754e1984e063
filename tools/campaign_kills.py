#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Kill a real campaign's processes at random moments, and check that it has lost nothing.

    tools/campaign_kills.py DIR --kills 100 --time 1200 -- --flavours plain --jobs 2

A seeded generator chooses the supervisor, a worker, a guest, or all at once.  What follows `--`
goes to `zsfuzz campaign start`.  The last line is JSON; exit code 1: something was lost.
With --kills 0 it only watches the memory (resident KiB) of supervisor and workers.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from zsfuzz.campaign.database import CampaignMissing
from zsfuzz.campaign.identity import Identity
from zsfuzz.campaign.state import State
from zsfuzz.campaign.status import read_status, supervisor_of

LOOK_EVERY = 1.0  # seconds
ALLOWED = 5.0  # seconds of work that a kill may cost
PATIENCE = 300.0  # seconds until a campaign must have come up
VICTIMS = ("supervisor", "worker", "guest", "all")


@dataclass
class Report:
    """What was done, and what was lost."""

    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VICTIMS, 0))
    starts: int = 0
    lost: list[str] = field(default_factory=list)
    memory_kib: list[tuple[float, int, int]] = field(default_factory=list)  # at, supervisor, worker
    programs: int = 0
    corpus: int = 0
    findings: int = 0
    seconds: float = 0.0
    left: list[str] = field(default_factory=list)


class Killing:
    """One campaign, and what was seen of it."""

    def __init__(self, root: Path, options: list[str], seed: int) -> None:
        self.root = root
        self.options = options
        self.random = random.Random(seed)  # noqa: S311 - choices, not secrets
        self.report = Report()
        self.seen: list[tuple[float, int]] = []  # when, and how many programs
        self.corpus: set[str] = set()
        self.findings: set[str] = set()
        self.processes: set[Identity] = set()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until a worker runs programs."""
        with (self.root.parent / f"{self.root.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "zsfuzz.cli", "campaign", "start", str(self.root),
                 *self.options],
                stdout=log, stderr=log,
            )  # fmt: skip
        self.report.starts += 1
        until = time.monotonic() + PATIENCE
        while not any(one["programs"] for one in self._workers()):
            if time.monotonic() > until or self.process.poll() is not None:
                raise SystemExit(f"the campaign did not come up: see {self.root}.log")
            time.sleep(0.1)

    def _workers(self) -> list[dict[str, object]]:
        if supervisor_of(self.root) is None:
            return []
        try:
            workers: list[dict[str, object]] = read_status(self.root)["workers"]
        except CampaignMissing:
            return []
        return workers

    def look(self) -> None:
        """Note what must be there from now on, and complain of what is there no more."""
        status = read_status(self.root)
        now = time.monotonic()
        corpus = {path.name for path in (self.root / "corpus").glob("[!.]*.msgpack")}
        findings = {f"{one['design']}/{one['id']}" for one in status["findings"]}
        self.corpus |= corpus
        gone = sorted(self.corpus - corpus)
        if len(gone) > self._distilled():
            self.report.lost += [f"corpus {name}" for name in gone]
        self.report.lost += [f"finding {name}" for name in sorted(self.findings - findings)]
        self.findings |= findings
        old = [count for at, count in self.seen if now - at >= ALLOWED]
        if old and status["programs"] < old[-1]:
            self.report.lost.append(f"programs {old[-1]} -> {status['programs']}")
        self.seen.append((now, status["programs"]))
        self._weigh(status)

    def _distilled(self) -> int:
        """Count the programs that were removed because no kernel needs them."""
        with State.read(self.root) as state:
            rows = state.rows("SELECT text FROM events WHERE kind = 'distilled'")
        return sum(int(row["text"].split()[0]) for row in rows)

    def _weigh(self, status: dict[str, object]) -> None:
        pids = [row["pid"] for row in self._rows()]
        me = supervisor_of(self.root)
        if me:
            heaviest = max((_resident(int(pid)) for pid in pids), default=0)
            entry = (float(str(status["seconds"])), _resident(me.pid), heaviest)
            self.report.memory_kib.append(entry)

    def _rows(self) -> list[dict[str, int]]:
        with State.read(self.root) as state:
            return state.rows("SELECT pid FROM workers WHERE ended IS NULL AND pid")

    def kill(self) -> None:
        """Kill one victim or all, and start the campaign again if it needs that."""
        victim = self.random.choice(VICTIMS)
        supervisor = supervisor_of(self.root)
        workers = [found for row in self._rows() if (found := Identity.of(row["pid"]))]
        guests = [guest for one in workers for guest in _children(one.pid)]
        self.processes |= {*workers, *guests, *([supervisor] if supervisor else [])}
        groups = {
            "supervisor": [supervisor] if supervisor else [],
            "worker": workers[:1] if self.random.random() < 0.5 else workers[-1:],
            "guest": guests[:1],
            "all": [one for one in (supervisor, *workers, *guests) if one],
        }
        for one in groups[victim]:
            one.send(signal.SIGKILL)
        self.report.kills[victim] += bool(groups[victim])
        if victim in ("supervisor", "all") and self.process:
            self.process.wait()
            self.start()

    def end(self) -> None:
        """Stop it, and see what it left."""
        subprocess.run(
            [sys.executable, "-m", "zsfuzz.cli", "campaign", "stop", str(self.root)], check=True
        )
        if self.process:
            self.process.wait()
        self.look()
        status = read_status(self.root)
        self.report.left += [f"process {one.pid}" for one in self.processes if one.alive]
        self.report.left += [str(path) for path in self.root.glob("work/*")]
        self.report.programs, self.report.corpus = status["programs"], status["corpus"]
        self.report.findings, self.report.seconds = len(status["findings"]), status["seconds"]


def _resident(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


def _children(pid: int) -> list[Identity]:
    try:
        pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [found for one in pids if (found := Identity.of(int(one)))]


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Kill a campaign's processes at random moments.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--time", type=float, default=1200.0, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    given, options = parser.parse_args(words[:end]), words[end + 1 :]
    shm = set(Path("/dev/shm").iterdir())  # noqa: S108 - where guests have their memory
    killing = Killing(given.directory.absolute(), options, given.seed)
    killing.start()
    begin = time.monotonic()
    moments = sorted(killing.random.uniform(0, given.time) for _ in range(given.kills))
    while (now := time.monotonic() - begin) < given.time:
        killing.look()
        if moments and now >= moments[0]:
            moments.pop(0)
            killing.kill()
        time.sleep(min(LOOK_EVERY, max(0.0, moments[0] - now) if moments else LOOK_EVERY))
    killing.end()
    mine = [path for path in Path("/dev/shm").iterdir() if path not in shm]  # noqa: S108
    report = asdict(killing.report) | {"new_in_dev_shm": [str(path) for path in mine]}
    report["memory_kib"] = report["memory_kib"][:: max(1, len(report["memory_kib"]) // 20)]
    sys.stdout.write(json.dumps(report) + "\n")
    sys.exit(bool(killing.report.lost or killing.report.left))


if __name__ == "__main__":
    main()
