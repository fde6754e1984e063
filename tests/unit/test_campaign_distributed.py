# SPDX-License-Identifier: GPL-2.0-only
"""A campaign on a Dask scheduler with several worker processes, which are killed at random."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_campaign import fake_kernel
from test_campaign_kills import HERE, PATIENCE, Campaign, check_nothing_is_left

from zsfuzz.campaign.options import Options
from zsfuzz.campaign.schedule import Assignment
from zsfuzz.campaign.session import Session
from zsfuzz.campaign.state import State
from zsfuzz.campaign.status import read_status
from zsfuzz.campaign.stopping import stop
from zsfuzz.campaign.worker import Order
from zsfuzz.errors import HarnessError

pytest.importorskip("distributed", reason="install the extra: pip install zsfuzz[distributed]")
from zsfuzz.campaign.distributed import connect
from zsfuzz.campaign.distributed.engine import Link
from zsfuzz.campaign.distributed.exchange import (
    Exchange,
    FindingFetcher,
    FindingSender,
    Mirror,
)

LOOPBACK = "127.0.0.1"
KILLS = 3


class Cluster:
    """A scheduler and worker processes on loopback."""

    def __init__(self, folder: Path, journal: Path) -> None:
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.env = {
            **os.environ,
            "JOURNAL": str(journal),
            "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "60s",
        }
        self.scheduler = self.run("dask_scheduler", "--host", LOOPBACK, "--port", "0",
                                  "--dashboard-address", f"{LOOPBACK}:0")  # fmt: skip
        until = time.monotonic() + PATIENCE
        while not self.file.exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        self.workers = [self.worker() for _ in range(3)]

    def run(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{name}",
                 "--scheduler-file", str(self.file), *options],
                env=self.env, cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip

    def worker(self) -> subprocess.Popen[bytes]:
        return self.run("dask_worker", "--no-nanny", "--nthreads", "1", "--no-dashboard",
                        "--host", LOOPBACK,
                        "--local-directory", str(self.folder / "dask"))  # fmt: skip

    @property
    def address(self) -> str:
        return json.loads(self.file.read_text())["address"]

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


class DaskCampaign(Campaign):
    def start_on(self, cluster: Cluster, exchange: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "fake_dask_campaign.py"), str(self.root),
             str(self.kernels), cluster.address, exchange, "2"],
            env=cluster.env,
        )  # fmt: skip


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[DaskCampaign]:
    one = DaskCampaign(tmp_path)
    yield one
    one.end()


@pytest.fixture
def cluster(tmp_path: Path, campaign: DaskCampaign) -> Iterator[Cluster]:
    one = Cluster(tmp_path, campaign.journal)
    yield one
    one.close()


def test_tasks_go_on_when_dask_workers_are_killed(
    cluster: Cluster, campaign: DaskCampaign, tmp_path: Path
) -> None:
    chance = random.Random(8)
    campaign.start_on(cluster, f"file://{tmp_path}/exchange")
    campaign.until_grown(5_000)
    for _ in range(KILLS):
        victim = chance.randrange(len(cluster.workers))
        cluster.workers[victim].kill()
        cluster.workers[victim].wait()
        cluster.workers[victim] = cluster.worker()
        campaign.until_grown(40_000)
    stop(campaign.root)
    assert campaign.process.wait(PATIENCE) == 0
    status = read_status(campaign.root)
    facts = campaign.facts()
    corpus = {path.stem for path in (campaign.root / "corpus").glob("*.msgpack")}
    # What a killed task did since its last exchange is lost, and no more.
    assert len(facts["program"] & corpus) >= 0.5 * len(facts["program"])
    assert 0 < status["programs"] <= campaign.all_counts()
    assert {one["id"] for one in status["findings"]} <= facts["finding"]
    assert not list((tmp_path / "exchange" / "stop").iterdir())
    check_nothing_is_left(campaign)


@pytest.mark.parametrize("scheme", ["file://{}/exchange", "memory://{}/exchange"])
def test_programs_travel_through_an_exchange(scheme: str, tmp_path: Path) -> None:
    url = scheme.format(tmp_path)
    one = Mirror(Exchange(url), "corpus", tmp_path / "one")
    other = Mirror(Exchange(url), "corpus", tmp_path / "other")
    (tmp_path / "one" / "a.msgpack").write_bytes(b"A")
    (tmp_path / "other" / "b.msgpack").write_bytes(b"B")
    for mirror in (one, other, one):
        mirror.both_ways()
    for name in ("one", "other"):
        found = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        assert found == {"a.msgpack": b"A", "b.msgpack": b"B"}


@pytest.mark.parametrize("scheme", ["file://{}/exchange", "memory://{}/exchange"])
def test_a_file_that_was_set_aside_is_not_fetched_again(scheme: str, tmp_path: Path) -> None:
    exchange = Exchange(scheme.format(tmp_path))
    exchange.write("corpus/bad.msgpack", b"no program")
    mirror = Mirror(exchange, "corpus", tmp_path / "one")
    mirror.both_ways()
    (tmp_path / "one" / "bad.msgpack").unlink()
    mirror.both_ways()
    assert not list((tmp_path / "one").iterdir())


def finding(root: Path, content: str, *more: str) -> Path:
    """A finding's folder in a campaign's or task's folder."""
    folder = root / "findings" / "zspage" / "f1"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("finding.json", "report.txt", *more):
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize("scheme", ["file://{}/exchange", "memory://{}/exchange"])
def test_of_what_another_found_a_task_sends_its_count_only(scheme: str, tmp_path: Path) -> None:
    exchange = Exchange(scheme.format(tmp_path))
    first = FindingSender(exchange, tmp_path / "a", "zspage")
    second = FindingSender(exchange, tmp_path / "b", "zspage")
    folder = finding(tmp_path / "a", "minimised", "seen-a")
    first.send()
    finding(tmp_path / "b", "as it was found", "seen-b")
    second.send()
    third = FindingSender(exchange, tmp_path / "c", "zspage")
    third.know()
    assert (tmp_path / "c/findings/zspage/f1/finding.json").read_text() == "minimised"
    (folder / "report.txt").write_text("better")
    first.send()
    FindingFetcher(exchange, tmp_path / "campaign").fetch("zspage")
    fetched = tmp_path / "campaign/findings/zspage/f1"
    assert {path.name: path.read_text() for path in fetched.iterdir()} == {
        "finding.json": "minimised", "report.txt": "better",
        "seen-a": "minimised", "seen-b": "as it was found",
    }  # fmt: skip


@pytest.mark.parametrize("scheme", ["file://{}/exchange", "memory://{}/exchange"])
def test_a_finding_is_fetched_again_when_it_has_changed(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = Exchange(scheme.format(tmp_path))
    sender = FindingSender(exchange, tmp_path / "a", "zspage")
    fetcher = FindingFetcher(exchange, tmp_path / "campaign")
    real, read = Exchange.read_all, []

    def read_all(self: Exchange, folder: str, names: set[str]) -> dict[str, bytes]:
        read.append(sorted(names))
        return real(self, folder, names)

    monkeypatch.setattr(Exchange, "read_all", read_all)
    folder = finding(tmp_path / "a", "1")
    sender.send()
    fetcher.fetch("zspage")
    fetcher.fetch("zspage")
    (folder / "report.txt").write_text("22")
    sender.send()
    fetcher.fetch("zspage")
    assert read == [["finding.json", "report.txt"], [], ["report.txt"]]
    assert (tmp_path / "campaign/findings/zspage/f1/report.txt").read_text() == "22"


def test_nothing_is_fetched_from_the_folder_itself(tmp_path: Path) -> None:
    folder = finding(tmp_path, "1")
    before = (folder / "report.txt").stat().st_ino
    FindingFetcher(Exchange(str(tmp_path)), tmp_path).fetch("zspage")
    assert (folder / "report.txt").stat().st_ino == before


class Scheduler:
    """A client of Dask whose tasks run for ever."""

    status = "running"

    def submit(self, *_: object, **__: object) -> Scheduler:
        return self

    def cancel(self) -> None:
        self.status = "cancelled"

    def done(self) -> bool:
        return self.status == "cancelled"


@pytest.fixture
def link(tmp_path: Path) -> Link:
    root = tmp_path / "campaign"
    options = Options(scheduler="tcp://127.0.0.1:1", exchange=f"file://{tmp_path}/exchange")
    kernel = fake_kernel(tmp_path / "kernel")
    with State.write(root_of(root)) as state:
        run = state.insert("runs", wall=0, at=0, pid=0, host="", options=options.as_json())
        for number, ended in ((1, None), (2, "in order")):
            state.insert("workers", id=number, run=run, slot=0, kernel=kernel.key, faults="usual",
                         place="", at=0, ended=ended)  # fmt: skip
    return Link(Session(root, options, (kernel,)), Scheduler(), lambda *_: None)


def root_of(root: Path) -> Path:
    root.mkdir()
    return root


def test_what_tasks_did_after_the_supervisor_was_killed_is_counted(link: Link) -> None:
    for worker in (1, 2):
        link.exchange.report(worker, {"counters": {"programs": 7}, "hits": [1] * 40})
    link.end_orphans()
    with State.read(link._session.root) as state:
        assert state.totals()["programs"] == 7
        assert state.hits("key-zspage-plain") == [1] * 40
    assert link.exchange.names("stop") == {"1", "2"}
    assert not link.exchange.names("reports")


def test_a_task_that_was_cancelled_keeps_the_word_to_end(link: Link, tmp_path: Path) -> None:
    kernel = link._session.kernels[0]
    order = Order(
        3, 0, Assignment(kernel, "usual"), link._session.root / "work", tmp_path / "pool", 1, 1.0, 9
    )
    worker = link.spawn(order)
    link.exchange.report(3, {"counters": {"programs": 5}})
    worker.kill()
    assert worker.ended() == "cancelled"
    assert worker.counters() == {"programs": 5}
    assert link.exchange.names("stop") == {"3"}
    assert not link.exchange.names("reports")


def test_no_scheduler_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    options = Options(scheduler="nonsense://x")
    with (
        pytest.raises(HarnessError, match="no Dask scheduler answers at nonsense://x: start one"),
        connect(Session(tmp_path, options, ())),
    ):
        pass


def test_what_is_being_written_is_not_listed(tmp_path: Path) -> None:
    exchange = Exchange(f"file://{tmp_path}")
    (tmp_path / "corpus" / ".tmp-1").write_bytes(b"")
    exchange.write("corpus/x", b"1")
    assert exchange.names("corpus") == {"x"}
    assert exchange.read("corpus/none") is None
