# SPDX-License-Identifier: GPL-2.0-only
"""Old kernels are deleted from the cache, with trees that no kernel is left of; others stay."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from zstools.cache import FORMAT, write_manifest
from zstools.cli import kernel
from zstools.prune import DAY, mark_used, prune


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZSFUZZ_CACHE", str(tmp_path))
    return tmp_path


def add(cache: Path, name: str, days: float, tree: str = "") -> Path:
    """Put a kernel there that was used so many days ago; return its tree."""
    entry, place = cache / "kernels" / name, tree or f"trees/{name}"
    entry.mkdir(parents=True)
    write_manifest(entry, {"format": FORMAT, "tree": place})
    (cache / place).mkdir(parents=True, exist_ok=True)
    (cache / place / "vmlinux").write_bytes(b"x" * 8192)
    os.utime(entry, times=(time.time() - days * DAY,) * 2)
    return cache / place


def left(cache: Path) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for path in cache.glob("*/*")}


def test_what_was_not_used_for_long_goes(cache: Path) -> None:
    add(cache, "old", 15)
    add(cache, "new", 13)
    (pruned,) = prune(14)
    assert pruned.name == "old"
    assert pruned.size >= 8192
    assert left(cache) == {"kernels/new", "trees/new"}


def test_one_that_is_used_again_is_new(cache: Path) -> None:
    add(cache, "old", 15)
    mark_used(cache / "kernels" / "old")
    assert prune(14) == []


def test_a_tree_stays_as_long_as_one_of_its_kernels(cache: Path) -> None:
    add(cache, "plain", 15, "trees/both")
    add(cache, "kasan", 1, "trees/both")
    assert [one.name for one in prune(14)] == ["plain"]
    assert left(cache) == {"kernels/kasan", "trees/both"}


def test_what_was_left_half_built_goes(cache: Path) -> None:
    (cache / "trees" / "torso").mkdir(parents=True)
    (cache / "kernels" / "torso").mkdir(parents=True)
    assert [one.name for one in prune(0)] == ["torso"]
    assert left(cache) == set()


def test_what_comes_from_a_tree_of_the_users_stays(cache: Path) -> None:
    add(cache, "own", 99, "own/fbd20e60")
    assert prune(0) == []
    assert left(cache) == {"kernels/own", "own/fbd20e60"}


@pytest.fixture
def running(cache: Path) -> Iterator[str]:
    tree = add(cache, "running", 99)
    shutil.copy(shutil.which("sleep") or "", tree / "vmlinux")
    with subprocess.Popen([tree / "vmlinux", "1000"]) as process:
        yield "running"
        process.kill()


def test_one_that_runs_stays(cache: Path, running: str) -> None:
    add(cache, "idle", 99)
    assert [one.name for one in prune(0)] == ["idle"]
    assert left(cache) == {f"kernels/{running}", f"trees/{running}"}


def test_the_command_says_what_it_would_do(cache: Path) -> None:
    add(cache, "old", 15)
    done = CliRunner().invoke(kernel, ["prune", "--dry-run"])
    assert done.exit_code == 0
    assert "GB  old\n" in done.stdout
    assert done.stdout.endswith("GB  would be freed\n")
    assert left(cache) == {"kernels/old", "trees/old"}


def test_an_empty_cache_has_nothing_to_delete(cache: Path) -> None:
    assert CliRunner().invoke(kernel, ["prune", "--days", "0"]).stdout == "  0.00 GB  freed\n"
