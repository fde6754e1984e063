# SPDX-License-Identifier: GPL-2.0-only
"""A kernel that complains before the first program: a finding, and no failure of the harness."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from guest_support import SEEDS, built, zsfuzz

from zsfuzz import matrix
from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS, Outcome

PATCH = Path(__file__).with_name("dies-at-boot.patch")
ON = ("--flavour", "plain", "--patch", PATCH)
TITLE = "no guest gets ready: kernel BUG in zs_obj_write"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built("zspage", "plain")
    return tmp_path_factory.mktemp("boot")


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    return zsfuzz(
        "run", *ON, "--time", 5, "--output", "out", "--json", "summary.json", cwd=folder
    )  # fmt: skip


def finding(folder: Path) -> Path:
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["outcomes"].values()) == {0}
    (found,) = summary["findings"]
    assert (found["title"], found["outcome"]) == (TITLE, Outcome.KERNEL_SPLAT.value)
    return Path(found["path"])


def test_a_run_reports_it(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert done.returncode == EXIT_FINDINGS, done.stderr
    assert TITLE in done.stdout
    report = (finding(folder) / "report.txt").read_text()
    assert "before any program, reproduced 10/10, shows on plain" in report
    assert "BUG: failure at mm/zsmalloc.c:1340/zs_obj_write()!" in report
    assert f"zsfuzz verify --design zspage --flavour plain --patch {PATCH}" in report


def test_verify_sees_it_and_sees_it_gone(
    done: subprocess.CompletedProcess[str], folder: Path
) -> None:
    still = zsfuzz("verify", finding(folder), *ON, "--runs", 2, cwd=folder)
    assert still.returncode == EXIT_FINDINGS, still.stderr
    assert "shows in 2 of 2 runs" in still.stdout
    gone = zsfuzz("verify", finding(folder), "--runs", 2, cwd=folder)
    assert gone.returncode == EXIT_CLEAN, gone.stderr
    assert "does not show in 2 runs" in gone.stdout


def test_a_replay_is_no_failure_of_the_harness(folder: Path) -> None:
    done = zsfuzz("replay", *ON, SEEDS[0].path, cwd=folder)
    assert done.returncode == EXIT_FINDINGS
    assert "a guest does not get ready" in done.stderr
    assert "kernel BUG in zs_obj_write" in done.stderr


def test_a_campaign_keeps_it_as_a_finding(folder: Path) -> None:
    options = ("--designs", "zspage", "--flavours", "plain", "--jobs", 1, "--patch", PATCH)
    done = zsfuzz("campaign", "start", "campaign", *options, "--time", 20, cwd=folder)
    assert done.returncode == EXIT_FINDINGS, done.stderr
    status = zsfuzz("campaign", "status", "campaign", "--json", cwd=folder)
    assert [found["title"] for found in json.loads(status.stdout)["findings"]] == [TITLE]


def test_a_row_of_the_matrix_keeps_it_as_a_finding(folder: Path) -> None:
    kernel = built("zspage", "plain", PATCH)
    smoke, saved = matrix._test(kernel, [], 0, folder / "matrix")
    assert smoke.trouble is not None
    assert (smoke.trouble.title, smoke.trouble.outcome) == (TITLE, Outcome.KERNEL_SPLAT)
    assert saved is not None
    assert "reproduced 10/10" in (saved / "report.txt").read_text()
