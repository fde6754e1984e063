# SPDX-License-Identifier: GPL-2.0-only
"""The corpus reaches what it always did, and each line that it does not has a reason."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from guest_support import ROOT

from zsfuzz.corpusfile import load_dir
from zsfuzz.errors import HarnessError
from zsfuzz.reached.counters import VARIANT, CounterReader
from zsfuzz.reached.lines import totals
from zsfuzz.reached.measure import Reached, replayed
from zsfuzz.reached.reasons import Reasons, check, load_reasons
from zsfuzz.selftests.run import VARIANT as TESTS
from zstools.errors import SourceError, ToolMissingError
from zstools.kernel import Kernel, KernelSpec, ensure_kernel
from zstools.paths import begin_dirs


@pytest.fixture(scope="module")
def counting() -> Kernel:
    try:
        return ensure_kernel(KernelSpec("zspage", "plain", None, (), (TESTS, VARIANT)))
    except (SourceError, ToolMissingError) as error:
        pytest.skip(f"no kernel with gcov; make one by `zsfuzz kernel build`: {error}")


@pytest.fixture(scope="module")
def reached(counting: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Reached:
    folders = [*begin_dirs(), ROOT / "corpus" / "regressions"]
    programs = [entry.program.wire for folder in folders for entry in load_dir(folder)[0]]
    return replayed(counting, programs, tmp_path_factory.mktemp("reached"))


def test_every_line_that_is_not_reached_has_a_reason(counting: Kernel, reached: Reached) -> None:
    found = check(reached.lines, counting.source, load_reasons())
    assert found.without_reason == ()


def test_no_line_with_a_reason_is_reached(counting: Kernel, reached: Reached) -> None:
    found = check(reached.lines, counting.source, load_reasons())
    assert found.reached_after_all == ()


def test_a_line_that_is_not_reached_any_more_is_noticed(counting: Kernel, reached: Reached) -> None:
    key = next(k for k, ln in reached.lines.items() if ln.count and ln.function == "zs_free")
    lines = {**reached.lines, key: dataclasses.replace(reached.lines[key], count=0)}
    assert check(lines, counting.source, load_reasons()).without_reason


def test_a_line_that_is_reached_after_all_is_noticed(counting: Kernel, reached: Reached) -> None:
    key = next(
        k for k, ln in reached.lines.items() if not ln.count and ln.function == "lock_zspage"
    )
    lines = {**reached.lines, key: dataclasses.replace(reached.lines[key], count=1)}
    assert check(lines, counting.source, load_reasons()).reached_after_all


def test_a_function_that_nobody_wrote_about_is_noticed(counting: Kernel, reached: Reached) -> None:
    assert check(reached.lines, counting.source, Reasons({"unreached": []})).without_reason


def test_there_are_branches_in_each_file(reached: Reached) -> None:
    for total in totals(reached.lines).values():
        assert 0 < total.branches < total.branches_total
        assert 0 < total.lines < total.lines_total


def test_a_guest_that_has_gone_cannot_be_counted(counting: Kernel) -> None:
    nobody = int(Path("/proc/sys/kernel/pid_max").read_text()) + 1
    with pytest.raises(HarnessError, match="cannot read the memory"):
        CounterReader(counting.linux).read(nobody)
