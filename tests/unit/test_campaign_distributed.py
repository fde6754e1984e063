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
from test_campaign_kills import HERE, PATIENCE, Campaign, check_nothing_is_left

from zsfuzz.campaign.status import read_status
from zsfuzz.campaign.stopping import stop

pytest.importorskip("distributed", reason="install the extra: pip install zsfuzz[distributed]")
from zsfuzz.campaign.distributed.exchange import Exchange, Mirror

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


def test_what_is_being_written_is_not_listed(tmp_path: Path) -> None:
    exchange = Exchange(f"file://{tmp_path}")
    (tmp_path / "corpus" / ".tmp-1").write_bytes(b"")
    exchange.write("corpus/x", b"1")
    assert exchange.names("corpus") == {"x"}
    assert exchange.read("corpus/none") is None
