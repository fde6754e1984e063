# SPDX-License-Identifier: GPL-2.0-only
"""Each planted bug is found from an empty corpus, and named for what it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zsfuzz.boot import boot
from zsfuzz.corpusfile import load
from zsfuzz.planted import planted_patch
from zsfuzz.runner import ORPHAN_TITLE, Runner
from zsmodel import Model
from zstools.kernel import KernelSpec, ensure_kernel

# The planted bug, and the titles under which it may show first.
BUGS = {
    "free-keeps-owner": {
        "free slot keeps an owner",
        "malloc: new object has an owner already",
        "cgroup charged too little",
        "stat: cgroup charged too little",
        "charge left after everything was freed",
    },
    "free-keeps-reference": {ORPHAN_TITLE},
    "compaction-loses-owner": {
        "owner lost",
        "free: owner lost",
        "read: owner lost",
        "migrate: owner lost",
        "cgroup charged too little",
        "stat: cgroup charged too little",
    },
}


def fuzz(name: str, output: Path) -> dict[str, object]:
    summary = output / "summary.json"
    command = [sys.executable, "-m", "zsfuzz.cli", "run", "--flavour", "plain"]
    command += ["--patch", str(planted_patch("zspage", name)), "--time", "60", "--until-finding"]
    command += ["--output", str(output), "--json", str(summary)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[str, object] = json.loads(summary.read_text())
    return found


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found_within_a_minute_and_not_on_the_clean_kernel(
    name: str, tmp_path: Path
) -> None:
    summary = fuzz(name, tmp_path / "out")
    sure = [f for f in summary["findings"] if f["outcome"] == "divergence"]
    assert sure, summary["findings"]
    assert {f["title"] for f in sure} & BUGS[name], sure
    program = load(Path(sure[0]["path"]) / "program.msgpack").program

    patch = planted_patch("zspage", name)
    broken = ensure_kernel(KernelSpec("zspage", "plain", None, (patch,)))
    with boot(broken, tmp_path / "broken.console") as machine:
        again = Runner(machine, Model(machine.kernel)).run_and_audit(program.wire)
        assert again is not None
        assert again.title == sure[0]["title"]
    with boot(ensure_kernel(KernelSpec("zspage", "plain")), tmp_path / "clean.console") as machine:
        assert Runner(machine, Model(machine.kernel)).run_and_audit(program.wire) is None
