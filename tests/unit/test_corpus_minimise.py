# SPDX-License-Identifier: GPL-2.0-only
"""What a program reached among others, and not by itself, does not keep a corpus from an end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest

from zsfuzz.corpus import edit
from zsfuzz.corpus.edit import By, minimize
from zsfuzz.corpus.measure import Reached
from zsfuzz.corpusfile import Entry, save
from zsfuzz.coverage import Coverage
from zsfuzz.text import parse_program

SITES = 4


class Guest:
    """Lets programs reach a site each, by length, and `lucky` the first time only."""

    def __init__(self, lucky: int) -> None:
        self.lucky = lucky

    def measure(self, _: object, programs: Iterable[tuple[Path, bytes]]) -> Reached:
        listed = list(programs)
        luck, self.lucky = self.lucky, 0
        return Reached(SITES, {path: 1 << 8 * (len(w) // 8 - 1) | luck for path, w in listed})


def test_places_that_are_not_reached_again_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("shrink(p0)", "shrink(p0)\n" * 2, "shrink(p0)\n" * 3):
        save(tmp_path, Entry(parse_program(text)))
    monkeypatch.setattr(edit, "_measure", Guest(1 << 8 * 3).measure)
    monkeypatch.setattr(Reached, "measure", lambda *_: Coverage(0, 0, 0, 0, 0, 0))
    edited = minimize(SimpleNamespace(), [tmp_path], None, By.SITES)
    assert (len(edited.kept), edited.by_chance) == (3, 1)
