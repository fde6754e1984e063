# SPDX-License-Identifier: GPL-2.0-only
"""Decoders take whatever strangers send: some thousand mutations of what is in the corpus each.

Bounded by their number, not by time.  To fuzz one for longer:

    python tests/fuzz/decoder_targets.py console /tmp/inputs/seeds -max_total_time=3600
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RUNS = {
    "corpus_file": 6000,
    "program_text": 6000,
    "corpus_text": 5000,
    "raw_bytes": 15000,
    "wire_form": 6000,
    "answers": 6000,
    "console": 1500,
    "finding_json": 4000,
}
PLANTED = ("corpus_file", "program_text", "answers", "console", "finding_json")


def fuzz(target: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a target from its seeds on, with the same random numbers each time."""
    paths = [str(ROOT / name) for name in ("fuzz", "reference", "tools")]
    command = [
        sys.executable, HERE / "decoder_targets.py", target, folder / "seeds",
        f"-runs={RUNS[target]}", "-seed=1", "-max_len=8192", "-rss_limit_mb=1024", "-timeout=20",
        "-verbosity=0", "-print_final_stats=1",
    ]  # fmt: skip
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
    )  # fmt: skip


@pytest.mark.parametrize("target", RUNS)
def test_a_decoder_takes_whatever_comes(target, tmp_path):
    done = fuzz(target, tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert f"number_of_executed_units: {RUNS[target]}" in done.stdout + done.stderr


@pytest.mark.parametrize("target", PLANTED)
def test_a_fault_planted_in_a_decoder_is_found(target, tmp_path):
    done = fuzz(target, tmp_path, ZSFUZZ_PLANT="1")
    assert done.returncode != 0
    assert list(tmp_path.glob("crash-*")), done.stderr[-2000:]
