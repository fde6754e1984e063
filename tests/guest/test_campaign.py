# SPDX-License-Identifier: GPL-2.0-only
"""Campaigns on real guests: start, kill, go on, stop."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from guest_support import PATIENCE, SEEDS, built, command, descendants, watched, zsfuzz

from zsfuzz.campaign.status import read_status
from zsfuzz.pool import PoolReader


@pytest.fixture(scope="module", autouse=True)
def kernels() -> None:
    """Skip all of this where there is no kernel."""
    built("zspage", "plain")


def status(folder: Path) -> dict[str, object]:
    done = zsfuzz("campaign", "status", "out", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def begin(folder: Path, *options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("campaign", "start", "out", "--flavours", "plain", "--jobs", 2, *options),
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def until_programs(folder: Path, process: subprocess.Popen[str], count: int) -> dict[str, object]:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        if (folder / "out" / "supervisor.json").exists():
            found = read_status(folder / "out")
            both = [one for one in found["workers"] if one["programs"]]
            if found["programs"] >= count and len(both) == 2:
                return found
        time.sleep(0.1)
    raise AssertionError("the workers run nothing")


def test_a_killed_campaign_goes_on_with_what_it_had_and_leaves_nothing(tmp_path: Path) -> None:
    first = begin(tmp_path)
    before = until_programs(tmp_path, first, 200)
    with watched(descendants(first.pid)) as watch:
        first.kill()
        first.communicate()
        assert watch.wait() == set()
    assert status(tmp_path)["state"] == "killed"
    second = begin(tmp_path)
    until_programs(tmp_path, second, before["programs"] + 200)
    family = descendants(second.pid)
    with watched(family) as watch:
        done = zsfuzz("campaign", "stop", "out", cwd=tmp_path)
        assert "stopped" in done.stdout, done.stderr
        assert watch.wait() == set()
    assert second.wait(PATIENCE) == 0, second.communicate()
    after = status(tmp_path)
    assert after["state"] == "stopped"
    assert after["programs"] >= before["programs"] + 200
    assert before["corpus"] > len(SEEDS)
    assert after["corpus"] > 0  # workers that end in order say what nobody needs
    assert after["findings"] == []
    lines = after["coverage"]["lines"]
    assert 0.5 * lines["total"] < lines["reached"] <= lines["total"]
    assert not (tmp_path / "out" / "work").exists()
    assert not (tmp_path / "out" / "supervisor.json").exists()


def test_what_one_worker_finds_all_others_get(tmp_path: Path) -> None:
    process = begin(tmp_path)
    found = until_programs(tmp_path, process, 1000)
    out = tmp_path / "out"
    numbers = [str(one["id"]) for one in found["workers"]]
    known = [len(PoolReader(out / "pools" / number).take()) for number in numbers]
    own = [len(list((out / "work" / number / "inputs").iterdir())) for number in numbers]
    process.send_signal(signal.SIGTERM)
    process.communicate()
    # Each of two workers has kept fewer inputs than there are programs, yet both know all of them.
    assert found["corpus"] > 31
    assert min(known) >= found["corpus"] > max(own)
    assert not (out / "pools").exists()


def test_a_campaign_with_a_planted_bug_ends_with_1_and_has_its_finding(tmp_path: Path) -> None:
    patch = Path(__file__).parents[2] / "tools" / "planted" / "both" / "free-keeps-owner.patch"
    built("zspage", "plain", patch)
    process = begin(tmp_path, "--patch", patch)
    until = time.monotonic() + PATIENCE
    titles: set[str] = set()
    while "free slot keeps an owner" not in titles:
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()
        if (tmp_path / "out" / "supervisor.json").exists():
            titles = {one["title"] for one in read_status(tmp_path / "out")["findings"]}
        time.sleep(0.1)
    assert zsfuzz("campaign", "stop", "out", cwd=tmp_path).returncode == 0
    assert process.wait(PATIENCE) == 1
    (one, *_) = status(tmp_path)["findings"]
    assert (Path(one["path"]) / "report.txt").is_file()
    assert one["seen"] >= 1


def test_a_folder_without_a_campaign_is_named(tmp_path: Path) -> None:
    for name in ("status", "stop"):
        done = zsfuzz("campaign", name, "out", cwd=tmp_path)
        assert done.returncode == 2
        assert "no campaign there" in done.stderr
