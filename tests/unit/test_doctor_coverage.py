# SPDX-License-Identifier: GPL-2.0-only
"""The check of coverage goes by the functions that a kernel has, whatever it calls them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from model_support import ZSPAGE

from zsfuzz.doctor import EXERCISE, Check, coverage_lights_up
from zsfuzz.text import parse_program

pytestmark = pytest.mark.unit

MALLOC, WRITE = "zs_malloc(pool, size, gfp, nid)", "zs_obj_write(pool, handle, mem, size, objcg)"
FREE = "zs_free(pool, handle)"
USUAL = {"zs_malloc", "zs_obj_write", "zs_free", "zs_page_migrate"}


def check(
    folder: Path,
    reached: set[str],
    *,
    functions: set[str] = USUAL,
    idle: frozenset[str] = frozenset(),
    write: str = WRITE,
    malloc: str = MALLOC,
    has_migration: bool = True,
) -> Check:
    """Check a kernel with a site in each of @functions, of which the exercise reaches some."""
    sites = [{"pc": n, "function": name, "lines": []} for n, name in enumerate(sorted(functions))]
    coverage = {"sites": sites, "lines": [], "branches": []}
    calls = {"expressions": {"malloc": malloc, "write": write, "free": FREE}}
    layout = folder / "layout.json"
    layout.write_text(json.dumps({"coverage": coverage, "calls": calls}))
    kernel: Any = SimpleNamespace(layout=layout)
    machine: Any = FakeMachine([site["function"] for site in sites], idle, reached)
    machine.kernel = replace(ZSPAGE, has_migration=has_migration)
    return coverage_lights_up(kernel, machine)


class FakeMachine:
    """Reaches some functions with an empty program, and some with the exercise."""

    def __init__(self, names: list[str], idle: frozenset[str], busy: set[str]) -> None:
        self.names = names
        self.reached = {b"": idle, parse_program(EXERCISE).wire: busy}
        self.wire = b""

    def run(self, wire: bytes) -> None:
        self.wire = wire

    def hits(self) -> list[int]:
        return [int(name in self.reached[self.wire]) for name in self.names]


def test_the_usual_functions_must_all_be_reached(tmp_path: Path) -> None:
    assert check(tmp_path, USUAL).passed
    for name in USUAL:
        bad = check(tmp_path, USUAL - {name})
        assert not bad.passed
        assert bad.detail.endswith(f"all but {name}")


def test_a_wrapper_in_a_header_need_not_be_reached(tmp_path: Path) -> None:
    """What it calls is found instead, or said in an adapter file that still calls the wrapper."""
    other = USUAL - {"zs_obj_write"} | {"zs_obj_write_owned"}
    call = WRITE.replace("zs_obj_write", "zs_obj_write_owned")
    assert check(tmp_path, other, functions=other, write=call).passed
    assert not check(tmp_path, other - {"zs_obj_write_owned"}, functions=other, write=call).passed
    assert check(tmp_path, other, functions=other, write=WRITE).passed


def test_of_functions_for_objects_with_and_without_owner_one_is_enough(tmp_path: Path) -> None:
    both = USUAL | {"zs_malloc_objcg"}
    call = f"objcg ? zs_malloc_objcg(pool, size, gfp, objcg) : {MALLOC}"
    assert check(tmp_path, USUAL, functions=both, malloc=call).passed
    bad = check(tmp_path, USUAL - {"zs_malloc"}, functions=both, malloc=call)
    assert not bad.passed
    assert bad.detail.endswith("all but zs_malloc or zs_malloc_objcg")


def test_nothing_reached_fails_even_if_nothing_is_known(tmp_path: Path) -> None:
    assert not check(tmp_path, set(), functions=set()).passed
    assert not check(tmp_path, set(), functions={"obj_malloc"}).passed


def test_what_an_empty_program_reaches_says_nothing(tmp_path: Path) -> None:
    assert not check(tmp_path, USUAL, idle=frozenset({"zs_free"})).passed


def test_migration_is_asked_for_only_where_it_is(tmp_path: Path) -> None:
    reached = USUAL - {"zs_page_migrate"}
    assert check(tmp_path, reached, has_migration=False).passed
    assert check(tmp_path, reached, functions=reached).passed
