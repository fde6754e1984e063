# SPDX-License-Identifier: GPL-2.0-only
"""Source lines from a built kernel's DWARF, and what a step reaches by a guest's coverage."""

from __future__ import annotations

from pathlib import Path

from guest_support import ROOT, Runners, built

from zsfuzz.console.frames import places_of
from zsfuzz.coverage import CoverageMap
from zsfuzz.report.reach import reached_by
from zsfuzz.text import parse_program
from zsmodel.rules import RULES
from zstools.symbols import Symbols

PROGRAM = parse_program("""\
o0 = malloc(p0, size=2712, owner=c1)
migrate(o0, page=1)
free(o0)
""").wire


def line_of(place: str | None) -> str:
    """The text at a place like "mm/zsmalloc.c:1544"."""
    assert place is not None
    file, _, line = place.partition(":")
    return (built("zspage", "plain").source / file).read_text().splitlines()[int(line) - 1]


def test_a_function_is_found_where_it_is_defined() -> None:
    symbols = Symbols(built("zspage", "plain").linux)
    # obj_free() has a symbol, lookup_size_class() is inlined, page_counter_charge() is elsewhere.
    for name in ("obj_free", "lookup_size_class", "page_counter_charge"):
        assert name in line_of(symbols.function(name))


def test_every_function_that_a_rule_names_is_in_the_kernel() -> None:
    symbols = Symbols(built("zspage", "plain").linux)
    rules = (rule for operation in RULES.values() for rule in operation.values())
    names = {name for rule in rules for name in rule.kernel.split(", ")} - {"none"}
    assert {name for name in names if symbols.function(name) is None} == set()


def test_an_instruction_of_an_inlined_function_belongs_to_the_line_that_calls_it() -> None:
    symbols = Symbols(built("zspage", "plain").linux)
    places = {symbols.frame("zs_malloc", offset) for offset in range(0, 0x200, 8)}
    assert len(places) > 5
    assert all(place and place.startswith("mm/zsmalloc.c:") for place in places)


def test_what_is_not_there_is_not_found() -> None:
    symbols = Symbols(built("zspage", "plain").linux)
    assert symbols.function("no_such_function") is None
    assert symbols.frame("no_such_function", 3) is None
    for path in (Path(__file__), ROOT / "no-such-file"):
        assert Symbols(path).function("zs_malloc") is None


def test_a_finding_names_its_kernel_so_that_places_are_found() -> None:
    manifest = built("zspage", "plain").manifest
    assert places_of(manifest).function("zs_malloc").startswith("mm/zsmalloc.c:")


def test_a_step_is_told_by_what_it_reaches(runners: Runners) -> None:
    kernel, machine = built("zspage", "plain"), runners("zspage", "plain").target
    reached = [set(reached_by(machine, kernel.layout, PROGRAM, step)) for step in (1, 2, 3)]
    assert {"zs_malloc", "zs_obj_write"} <= reached[0]
    assert "zs_page_migrate" in reached[1]
    assert "zs_free" in reached[2]
    assert not {"zs_malloc", "zs_free"} & reached[1]
    assert CoverageMap(kernel.layout).functions([0] * machine.counter_count) == set()
