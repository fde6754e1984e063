# SPDX-License-Identifier: GPL-2.0-only
"""Console text: what is a complaint, where it ends, and what is not one."""

import pytest

from zsfuzz.console.complaints import find_splats, strip_prefix

QUIET = """[    0.000000] Linux version 7.2.13
[    0.000000] WARNING: zsfuzz must never run on a real machine
[    0.100000] zsfuzz: serving
BUGS are what we look for
"""
WARN = """[    1.000000] ------------[ cut here ]------------
[    1.000000] WARNING: mm/zsmalloc.c:814 at {func}+0x10/0x20, CPU#0: agent/31
[    1.000000] Call Trace:
[    1.000000]  [<60012345>] ? show_stack+0x1/0x2
[    1.000000] ---[ end trace 0000000000000000 ]---
"""


def test_a_quiet_console_has_no_complaint():
    assert find_splats(QUIET) == []
    assert find_splats("") == []


def test_each_complaint_is_found_in_order():
    text = QUIET + WARN.format(func="zs_free") + QUIET + WARN.format(func="zs_malloc")
    assert [s.title for s in find_splats(text)] == ["WARNING in zs_free", "WARNING in zs_malloc"]


def test_a_complaint_within_a_report_belongs_to_it():
    text = WARN.replace("Call Trace", "Kernel panic - not syncing: x\nCall Trace")
    assert len(find_splats(text.format(func="zs_free"))) == 1


def test_a_report_that_the_console_cuts_off_is_truncated():
    whole = WARN.format(func="zs_free")
    assert find_splats(whole)[0].truncated == ""
    cut = find_splats(whole[: whole.index("Call Trace")])[0]
    assert cut.truncated == "the console ends within the report"
    nameless = find_splats(whole[: whole.index("zs_free")])[0]
    assert nameless.title == "WARNING in an unknown function"
    assert nameless.truncated == "no stack frame names a function"


def test_a_report_has_an_end_even_if_the_console_has_none():
    text = WARN.format(func="zs_free").replace("---[ end trace 0000000000000000 ]---", "x\n" * 5000)
    assert len(find_splats(text)[0].lines) == 120


def test_parsing_a_report_again_gives_the_same_title():
    splat = find_splats(QUIET + WARN.format(func="zs_free"))[0]
    assert find_splats("\n".join(splat.lines))[0].title == splat.title


@pytest.mark.parametrize(
    "line",
    ["<4>[   12.345678] text", "[   12.345678][    T1] text", "[   12.345678] text\r", "text"],
)
def test_prefixes_of_printk_are_dropped(line):
    assert strip_prefix(line) == "text"
