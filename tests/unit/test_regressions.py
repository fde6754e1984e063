# SPDX-License-Identifier: GPL-2.0-only
"""corpus/regressions has programs for bugs that were found, and for each one planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from zsfuzz.bench.bugs.catalogue import catalogue
from zsfuzz.corpusfile import Entry, load_dir
from zsfuzz.planted import planted_dirs
from zsfuzz.repro.check import without_program
from zsmodel.designs import DESIGNS

ENTRIES, ERRORS = load_dir(Path(__file__).parents[2] / "corpus" / "regressions")
BUGS = [bug for entry in ENTRIES for bug in entry.extra.get("bugs", {})]


def test_all_can_be_loaded() -> None:
    assert ERRORS == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.path.stem)
def test_each_says_what_it_is_for_and_is_named_after_what_it_does(entry: Entry) -> None:
    assert len(entry.note) > 20
    assert entry.path.stem == entry.program.digest
    assert entry.design in ("", *DESIGNS)


def test_a_planted_bug_has_no_more_than_one_program() -> None:
    folders = {folder for design in DESIGNS for folder in planted_dirs(design)}
    planted = {patch.stem for folder in folders for patch in folder.glob("*.patch")}
    assert len(BUGS) == len(set(BUGS))
    assert set(BUGS) <= planted


def test_titles_of_programs_are_those_that_planted_bugs_are_named_by() -> None:
    named = {
        bug: titles for entry in ENTRIES for bug, titles in entry.extra.get("bugs", {}).items()
    }
    bugs = catalogue()
    for name, titles in named.items():
        same = [bug for bug in bugs if bug.name == name]
        wrong = [title for title in titles if not any(bug.is_named_by(title) for bug in same)]
        assert wrong == [], name


def test_each_planted_bug_has_a_program() -> None:
    assert without_program() == []
