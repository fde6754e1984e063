# SPDX-License-Identifier: GPL-2.0-only
"""Counters become gcov's file format, and add up."""

from __future__ import annotations

import struct

from zsfuzz.reached.counters import Profile
from zsfuzz.reached.lines import Line
from zsfuzz.reached.reasons import Reasons, check

ONE = Profile("mm/x.gcda", 0x42323252, 7, (((1, 2, 3), [(0, [4, 0])]), ((5, 6, 7), [(0, [])])))


def test_a_profile_is_written_as_gcov_reads_it() -> None:
    words = struct.unpack("<17I", ONE.gcda()[:68])
    assert words[:4] == (0x67636461, 0x42323252, 7, 0)
    assert words[4:9] == (0x01000000, 12, 1, 2, 3)
    assert words[9:15] == (0x01A10000, 16, 4, 0, 0, 0)
    assert words[15] == 0x01000000


def test_counters_of_two_guests_add_up() -> None:
    assert ONE.plus(ONE).functions[0] == ((1, 2, 3), [(0, [8, 0])])


def lines(tmp_path, *counts: int):
    (tmp_path / "f.c").write_text("".join(f"line{n};\n" for n in range(1, len(counts) + 1)))
    return {("f.c", n): Line("f.c", n, "f", c, ()) for n, c in enumerate(counts, 1)}


def test_a_line_that_may_be_reached_is_no_mistake_of_the_table(tmp_path) -> None:
    row = {"file": "f.c", "function": "f", "lines": ["line1;"], "reason": "?", "sometimes": True}
    assert check(lines(tmp_path, 1, 1), tmp_path, Reasons({"unreached": [row]})).clean


def test_a_reason_for_a_line_that_is_not_there_is_noticed(tmp_path) -> None:
    gone = {"file": "f.c", "function": "f", "lines": ["line9;"], "reason": "?"}
    whole = {"file": "f.c", "function": "g", "reason": "never"}
    found = check(lines(tmp_path, 1), tmp_path, Reasons({"unreached": [gone, whole]}))
    assert found.without_line == (("f.c", "f", "line9;"), ("f.c", "g", ""))
    assert not found.clean


def test_a_function_said_to_be_unreached_is_noticed_when_one_line_ran(tmp_path) -> None:
    row = {"file": "f.c", "function": "f", "reason": "never"}
    found = check(lines(tmp_path, 0, 1), tmp_path, Reasons({"unreached": [row]}))
    assert found.reached_after_all == (("f.c", "f", "line2;"),)
