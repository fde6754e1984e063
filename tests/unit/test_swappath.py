# SPDX-License-Identifier: GPL-2.0-only
"""A kernel without the swap path is told of: by the doctor, and in the summary of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from model_support import ZSPAGE
from rich.console import Console

from zsfuzz.coverage import Coverage
from zsfuzz.doctor import Check, pages_are_swapped
from zsfuzz.run import Result
from zsfuzz.summary import render_comparison, render_summary

REASON = "the kernel has no memcg_events"


def checked(
    folder: Path, has_swap: bool, no_swap: str = REASON, variants: tuple[str, ...] = ()
) -> Check:
    layout = folder / "layout.json"
    layout.write_text(json.dumps({"no_swap": no_swap}))
    kernel: Any = SimpleNamespace(layout=layout, spec=SimpleNamespace(variants=variants))
    machine: Any = SimpleNamespace(kernel=replace(ZSPAGE, has_swap=has_swap))
    return pages_are_swapped(kernel, machine)


def test_the_default_configuration_must_swap(tmp_path: Path) -> None:
    assert checked(tmp_path, has_swap=True, no_swap="").passed
    sick = checked(tmp_path, has_swap=False)
    assert not sick.passed
    assert REASON in sick.detail


def test_a_variant_may_be_without_but_says_so(tmp_path: Path) -> None:
    check = checked(tmp_path, has_swap=False, variants=("memcg-n",))
    assert check.passed
    assert check.detail == f"not tested: {REASON}"


def test_a_guest_that_could_not_set_it_up_is_another_reason(tmp_path: Path) -> None:
    assert "could not set it up" in checked(tmp_path, has_swap=False, no_swap="").detail


@pytest.mark.parametrize("no_swap", ["", REASON])
def test_the_summary_says_what_was_not_tested(no_swap: str) -> None:
    coverage = Coverage(0, 1, 0, 1, 0, 1)
    result = Result("zspage", ("plain",), "7.2.13", 1.0, {}, coverage, (), no_swap=no_swap)
    console = Console(width=200)
    with console.capture() as capture:
        console.print(render_summary(result), render_comparison([result]))
    told = " ".join(capture.get().split())
    assert (f"not tested, all its operations are refused: {REASON}" in told) == bool(no_swap)
    assert ("swap path not tested" in told) == bool(no_swap)
    assert result.as_dict()["no_swap"] == no_swap
