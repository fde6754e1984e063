# SPDX-License-Identifier: GPL-2.0-only
"""`zsfuzz bench bugs` finds a planted bug, reports no control, and takes patches from anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from guest_support import built, zsfuzz

from zsfuzz.outcome import EXIT_CLEAN, EXIT_HARNESS_ERROR
from zsfuzz.planted import planted_patch

SHARED = ("--design", "zspage", "--flavour", "plain", "--seeds", "1")
BUG, CONTROL = "free-keeps-owner", "malloc-looks-twice"


def bench(folder: Path, *options: object) -> tuple[int, dict[str, dict[str, object]], str]:
    done = zsfuzz("bench", "bugs", *SHARED, *options, "--json", "found.json", cwd=folder)
    found = json.loads((folder / "found.json").read_text())
    return done.returncode, {one["name"]: one for one in found}, done.stderr


@pytest.fixture(scope="module", autouse=True)
def _kernels() -> None:
    for name in (BUG, CONTROL):
        built("zspage", "plain", planted_patch("zspage", name))


def test_a_bug_is_found_by_its_name_and_a_control_is_not_reported(tmp_path: Path) -> None:
    code, found, _ = bench(tmp_path, "--bug", BUG, "--bug", CONTROL, "--time", "8")
    assert code == EXIT_CLEAN
    assert found[BUG]["found"]
    assert found[BUG]["named"] == 1
    assert 0 < found[BUG]["seconds"] <= 8
    assert found[BUG]["operations"] > 0
    control = found[CONTROL]
    assert (control["control"], control["found"], control["title"]) == (True, False, None)
    spent = control["trials"][0]
    assert spent["seconds"] >= 8  # neither booting nor anything else cuts a trial short
    assert spent["operations"] > 0


def test_a_patch_from_elsewhere_is_measured_and_one_that_does_not_apply_is_named(tmp_path) -> None:
    mine, torn = tmp_path / "mine.patch", tmp_path / "torn.patch"
    text = planted_patch("zspage", BUG).read_text().partition("\n---\n")[2]
    mine.write_text(text)
    torn.write_text(text.replace("obj_", "obj__"))
    code, found, errors = bench(tmp_path, "--patch", torn, "--patch", mine, "--time", "8")
    assert code == EXIT_HARNESS_ERROR
    assert "torn.patch does not apply" in found["torn"]["error"]
    assert "torn.patch does not apply" in errors
    assert found["mine"]["found"]
    assert found["mine"]["error"] is None
