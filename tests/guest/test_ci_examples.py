# SPDX-License-Identifier: GPL-2.0-only
"""The examples of docs/ci: the workflow's steps and the script do what they say."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from guest_support import ROOT, built, environment
from junitparser import JUnitXml

CI = ROOT / "docs" / "ci"
WORKFLOW = yaml.safe_load((CI / "github-actions.yml").read_text())
JOB = WORKFLOW["jobs"]["replay"]
STEPS = JOB["steps"]
SHELL = [step["run"] for step in STEPS if "run" in step]


def filled(text: str, values: dict[str, object]) -> str:
    """Replace what the service would replace."""
    return re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda found: str(values[found[1]]), text)


def tool(folder: Path, command: str) -> Path:
    """A .venv/bin/zsfuzz below a folder."""
    path = folder / ".venv" / "bin" / "zsfuzz"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
    return path


def run(arguments: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=folder, env={**environment(), **more}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


# ---- the workflow --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", SHELL)
def test_each_step_is_good_shell(text: str, tmp_path: Path) -> None:
    done = run(["sh", "-n", "-c", filled(text, {"design": "zspage", "shard": 1})], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_step_either_runs_something_or_uses_an_action_of_a_fixed_version() -> None:
    assert all(("run" in step) != ("uses" in step) for step in STEPS)
    assert all(
        re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/x@v1")) for step in STEPS
    )


def test_what_it_keeps_kernels_by_is_in_the_repository() -> None:
    (key,) = (step["with"]["key"] for step in STEPS if "cache" in step.get("uses", ""))
    names = re.findall(r"'([^']+)/\*\*'", key)
    assert names
    assert all((ROOT / name).is_dir() for name in names)


def test_the_replay_step_replays_a_part_and_leaves_what_is_uploaded(tmp_path: Path) -> None:
    built("zspage", "kasan")
    (step,) = (step for step in STEPS if step.get("name") == "replay")
    tool(tmp_path, f'exec {shlex.quote(sys.executable)} -m zsfuzz.cli "$@"')
    (tmp_path / "corpus").symlink_to(ROOT / "corpus")
    shards = JOB["strategy"]["matrix"]["shard"]
    done = run(
        ["sh", "-ec", filled(step["run"], {"design": "zspage", "shard": shards[0]})], tmp_path
    )
    assert done.returncode == 0, done.stderr
    (upload,) = (step["with"]["path"] for step in STEPS if "upload" in step.get("uses", ""))
    found = JUnitXml.fromfile(str(tmp_path / upload))
    programs = len(list((ROOT / "corpus").rglob("*.msgpack")))
    assert (found.failures, found.errors) == (0, 0)
    assert 0 < found.tests < programs


# ---- the script for a kernel tree ----------------------------------------------------------------


def tree_script(folder: Path, setup: str, zsfuzz: str) -> Path:
    """A copy of the script in a checkout of its own, of which only what it calls is there."""
    script = folder / "docs" / "ci" / "kernel-tree.sh"
    script.parent.mkdir(parents=True)
    script.write_text((CI / "kernel-tree.sh").read_text())
    (folder / "Makefile").write_text(f"setup:\n\t@{setup}\n")
    tool(folder, zsfuzz)
    return script


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1), (2, 125)])
def test_the_script_says_good_bad_or_skip(code: int, expected: int, tmp_path: Path) -> None:
    script = tree_script(tmp_path, "true", f"exit {code}")
    assert run(["sh", str(script), "/tree"], tmp_path).returncode == expected


def test_the_script_skips_where_it_cannot_be_set_up(tmp_path: Path) -> None:
    script = tree_script(tmp_path, "false", "exit 0")
    assert run(["sh", str(script), "/tree"], tmp_path).returncode == 125


def test_the_script_replays_on_the_tree_that_it_is_given(tmp_path: Path) -> None:
    script = tree_script(tmp_path, "true", 'echo "$@"')
    words = f"replay {tmp_path}/corpus --linux {{}} --design {{}} --flavour {{}} --format ktap\n"
    named = run(["sh", str(script), "/tree"], tmp_path, DESIGN="stock", FLAVOUR="plain")
    assert named.stdout == words.format("/tree", "stock", "plain")
    here = run(["sh", str(script)], tmp_path)
    assert here.stdout == words.format(tmp_path, "zspage", "kasan")
