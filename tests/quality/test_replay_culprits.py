# SPDX-License-Identifier: GPL-2.0-only
"""What a program leaves behind shows at the next audit only; replay names the program."""

from __future__ import annotations

from pathlib import Path

from guest_support import built
from test_planted_programs import BUGS

from zsfuzz.corpusfile import Entry, save
from zsfuzz.outcome import Outcome
from zsfuzz.planted import planted_patch
from zsfuzz.replay.run import replay
from zsfuzz.runner import ORPHAN_TITLE
from zsfuzz.text import parse_program

BUG = "free-keeps-reference"


def test_the_programs_that_leak_an_owner_are_named_and_no_others(tmp_path: Path) -> None:
    kernel = built("zpdesc", "plain", planted_patch("zpdesc", BUG))
    for size in range(60):
        save(tmp_path, Entry(parse_program(f"o0 = malloc(p1, size={64 * size + 1})\nfree(o0)\n")))
    leaks = BUGS[BUG].program
    other = parse_program("o1 = malloc(p0, size=100, owner=c3)\nfree(o1)\n")
    guilty = {save(tmp_path, Entry(program)) for program in (leaks, other)}
    report = replay(kernel, [tmp_path])
    assert len(report.verdicts) == 62
    assert {verdict.path for verdict in report.troubled} == guilty
    assert {(verdict.outcome, verdict.title) for verdict in report.troubled} == {
        (Outcome.DIVERGENCE, ORPHAN_TITLE)
    }
