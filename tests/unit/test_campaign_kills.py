# SPDX-License-Identifier: GPL-2.0-only
"""A campaign whose processes are killed at random moments goes on and has lost nothing.

The supervisor is the real one, its workers are fake: each tells in a journal what it has done.
ZSFUZZ_KILLS=100 kills more often than the tests usually do.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from zsfuzz.campaign.identity import Identity
from zsfuzz.campaign.state import State
from zsfuzz.campaign.status import read_status, supervisor_of
from zsfuzz.campaign.stopping import stop

KILLS = int(os.environ.get("ZSFUZZ_KILLS", "8"))
PATIENCE = 120  # seconds until something that never comes counts as wrong
HERE = Path(__file__).parent


class Campaign:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "campaign"
        self.kernels = folder / "kernel"
        self.journal = folder / "journal"
        self.journal.touch()
        self.process: subprocess.Popen[bytes] | None = None
        self.seen: set[Identity] = set()

    def start(self, seconds: float = 600, jobs: int = 2) -> None:
        paths = os.pathsep.join([str(HERE), *sys.path])
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "fake_campaign.py"), str(self.root), str(self.kernels),
             str(seconds), str(jobs)],
            env={**os.environ, "JOURNAL": str(self.journal), "PYTHONPATH": paths},
        )  # fmt: skip

    def until_grown(self, size: int) -> None:
        """Let workers do so many bytes of journal more."""
        goal = self.journal.stat().st_size + size
        until = time.monotonic() + PATIENCE
        while self.journal.stat().st_size < goal:
            assert time.monotonic() < until, "workers do nothing"
            assert self.process.poll() is None, "the supervisor has ended"
            time.sleep(0.01)

    def workers(self) -> list[Identity]:
        with State.read(self.root) as state:
            rows = state.rows("SELECT pid, birth FROM workers WHERE ended IS NULL AND pid")
        found = [Identity(row["pid"], row["birth"]) for row in rows]
        self.seen |= set(found)
        return found

    def facts(self) -> dict[str, set[str]]:
        """What the workers have told, all of it."""
        found: dict[str, set[str]] = {"program": set(), "finding": set()}
        for line in self.journal.read_text().splitlines():
            kind, _, text = line.partition(" ")
            if kind in found:
                found[kind].add(text)
        return found

    def counts(self) -> int:
        """How many programs all workers have counted."""
        last: dict[str, int] = {}
        for line in self.journal.read_text().splitlines():
            if line.startswith("counts "):
                _, work, count = line.split(" ")
                last[work] = int(count)
        return sum(last.values())

    def all_counts(self) -> int:
        """How many programs were run, those of killed tasks too."""
        return self.journal.read_text().count("program ")

    def end(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[Campaign]:
    one = Campaign(tmp_path)
    yield one
    one.end()


def check_nothing_is_lost(campaign: Campaign) -> None:
    status = read_status(campaign.root)
    facts = campaign.facts()
    corpus = {path.stem for path in (campaign.root / "corpus").glob("*.msgpack")}
    assert facts["program"] <= corpus
    assert status["corpus"] == len(corpus)
    assert {one["id"] for one in status["findings"]} == facts["finding"]
    assert status["programs"] >= campaign.counts()
    # Each program has one; a kill may come between the one count and the other.
    assert 0 <= status["programs"] - status["operations"] <= KILLS


def check_nothing_is_left(campaign: Campaign) -> None:
    assert not [one for one in campaign.seen if one.alive]
    assert not (campaign.root / "work").exists()
    assert not (campaign.root / "pools").exists()
    assert supervisor_of(campaign.root) is None
    assert not list(campaign.root.rglob(".tmp-*"))


def test_a_campaign_killed_at_random_moments_loses_nothing(campaign: Campaign) -> None:
    chance = random.Random(6)
    campaign.start()
    for _ in range(KILLS):
        campaign.until_grown(chance.randrange(1, 20_000))
        victims = campaign.workers()
        if victims and chance.random() < 0.5:
            chance.choice(victims).send(signal.SIGKILL)
            continue
        campaign.process.kill()  # its workers are killed by the kernel then
        campaign.process.wait()
        campaign.start()
    campaign.until_grown(5_000)
    campaign.workers()
    stop(campaign.root)
    assert campaign.process.wait(PATIENCE) == 0
    check_nothing_is_lost(campaign)
    check_nothing_is_left(campaign)


def test_stop_cleans_up_after_a_kill_of_everything(campaign: Campaign) -> None:
    campaign.start()
    campaign.until_grown(20_000)
    workers = campaign.workers()
    campaign.process.kill()
    for one in workers:
        one.send(signal.SIGKILL)
    campaign.process.wait()
    assert read_status(campaign.root)["state"] == "killed"
    assert "it had been killed: 2 workers" in stop(campaign.root)
    assert read_status(campaign.root)["state"] == "killed"
    check_nothing_is_lost(campaign)
    check_nothing_is_left(campaign)


def test_a_stopped_worker_is_ended_by_stop_as_well(campaign: Campaign) -> None:
    campaign.start(jobs=1)
    campaign.until_grown(2_000)
    (one,) = campaign.workers()
    one.send(signal.SIGSTOP)
    campaign.process.kill()
    campaign.process.wait()
    stop(campaign.root)
    check_nothing_is_left(campaign)


@pytest.mark.parametrize("victim", ["state.sqlite", "state.sqlite-wal", "totals.json", "corpus"])
def test_a_file_cut_short_by_a_power_cut_is_noticed(campaign: Campaign, victim: str) -> None:
    campaign.start()
    campaign.until_grown(20_000)
    while not (before := read_status(campaign.root))["corpus"]:
        campaign.until_grown(1_000)
    campaign.process.kill()
    campaign.process.wait()
    path = campaign.root / victim
    if victim == "state.sqlite":  # or else all of it may still be in the write-ahead log
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    if path.is_dir():
        path = sorted(path.glob("*.msgpack"))[-1]
    os.truncate(path, path.stat().st_size // 2)
    campaign.start()
    campaign.until_grown(5_000)
    stop(campaign.root)
    campaign.process.wait()
    after = read_status(campaign.root)
    assert after["programs"] >= before["programs"]
    assert after["seconds"] >= before["seconds"] - 5
    assert len(after["findings"]) >= len(before["findings"])
    assert after["corpus"] >= before["corpus"]
    if victim in ("state.sqlite", "corpus"):
        assert any(event["kind"] == "damage" for event in after["events"])
    if victim == "corpus":
        assert (campaign.root / "damaged" / path.name).exists()
        assert json.dumps(path.name)[1:-1] in str(after["events"])
