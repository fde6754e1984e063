# SPDX-License-Identifier: GPL-2.0-only
"""Each planted bug is shown by a small program, under a title that says what is wrong."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from guest_support import built

from zsfuzz.boot import boot
from zsfuzz.corpusfile import Entry, load_dir
from zsfuzz.planted import planted_patch
from zsfuzz.verify.trial import attempt

REGRESSIONS = load_dir(Path(__file__).parents[2] / "corpus" / "regressions")[0]
# Bug: its program, which needs neither KASAN nor kmemleak.
SHOWN = {
    bug: entry
    for entry in REGRESSIONS
    for bug in entry.extra.get("bugs", {})
    if "flavour" not in entry.extra
}
BUGS = {bug: entry for bug, entry in SHOWN.items() if "rarely" not in entry.extra}
# What both designs have in common is tried on one of them, but for what differs in effect.
ON_ZSPAGE = ("compaction-uses-source-index",)
RARELY = pytest.mark.skipif(
    "ZSFUZZ_ALL_PLANTED" not in os.environ,
    reason="each takes a kernel: set ZSFUZZ_ALL_PLANTED for all",
)


def pairs() -> list[tuple[str, str]]:
    return [("zpdesc", name) for name in BUGS] + [("zspage", name) for name in ON_ZSPAGE]


def all_pairs() -> list[ParameterSet]:
    rare = sorted(SHOWN.keys() - BUGS.keys())
    return [
        *(pytest.param(design, name) for design, name in pairs()),
        *(pytest.param(SHOWN[name].design or "zpdesc", name, marks=RARELY) for name in rare),
    ]


def title(design: str, patches: tuple[Path, ...], entry: Entry, folder: Path) -> str | None:
    start = partial(boot, built(design, "plain", *patches), folder / "console")
    trouble = attempt(start, entry.program.wire, "", 1).trouble
    return trouble.title if trouble else None


@pytest.mark.parametrize(("design", "name"), all_pairs())
def test_a_small_program_shows_the_bug_by_its_name(design: str, name: str, tmp_path: Path) -> None:
    entry = SHOWN[name]
    found = title(design, (planted_patch(design, name),), entry, tmp_path)
    assert found is not None
    assert found.rpartition(": ")[2] in entry.extra["bugs"][name]
