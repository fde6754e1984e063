# SPDX-License-Identifier: GPL-2.0-only
"""The matrix: every combination gets its row, whatever became of the others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from zsfuzz import matrix
from zsfuzz.cli import main
from zsfuzz.errors import HarnessError
from zsfuzz.outcome import Outcome
from zsfuzz.runner import Trouble
from zsfuzz.smoke import Smoke
from zsmodel.designs import DESIGNS
from zstools.errors import BuildInterruptedError, CommandError
from zstools.kernel import KernelSpec

ROOT = Path(__file__).parents[2]
BAD_BUILD, BAD_GUEST, BAD_KERNEL = "memcg-n", "zswap-n", "stat-n"


class Bench:
    """What stands in for builder and guest: some variants fail, each in its own way."""

    def __init__(self) -> None:
        self.tested: list[tuple[str, tuple[str, ...]]] = []

    def build(self, spec: KernelSpec, *_: object) -> Any:
        if BAD_BUILD in spec.variants:
            raise CommandError("exit status 2 from\nmake vmlinux\nmemcg.c:1: error: bad")
        return SimpleNamespace(spec=spec, manifest={"seconds": 21.6})

    def test(self, kernel: Any, *_: object) -> tuple[Smoke, Path | None]:
        self.tested.append((kernel.spec.design, kernel.spec.variants))
        if BAD_GUEST in kernel.spec.variants:
            raise HarnessError("the guest does not boot")
        if BAD_KERNEL in kernel.spec.variants:
            trouble = Trouble(Outcome.DIVERGENCE, "malloc: wrong class", b"")
            return Smoke(7, trouble), Path("out/findings/abc")
        return Smoke(20, None), None


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    stand_in = Bench()
    monkeypatch.setattr(matrix, "ensure_kernel", stand_in.build)
    monkeypatch.setattr(matrix, "_test", stand_in.test)
    return stand_in


def run(folder: Path, *arguments: str) -> Result:
    fixed = ["matrix", "--output", str(folder / "out"), "--json", str(folder / "table.json")]
    return CliRunner().invoke(main, [*fixed, *arguments])


def variants(*names: str) -> list[str]:
    return [word for name in names for word in ("--variant", name)]


def test_all_designs_in_all_variants_of_zsmalloc_are_the_default(
    bench: Bench, tmp_path: Path
) -> None:
    run(tmp_path)
    rows = json.loads((tmp_path / "table.json").read_text())
    combinations = {(row["design"], row["variant"]) for row in rows}
    assert combinations == {(d, v) for d in DESIGNS for v in matrix.usual_variants()}
    assert ("stock", "default") in combinations
    assert not [variant for _, variant in combinations if variant in matrix.MEANS]


def test_the_table_of_variants_has_those_of_the_matrix() -> None:
    section = (ROOT / "docs" / "CONFIGS.md").read_text().split("\n## ")[1]
    rows = re.findall(r"^\| `([\w-]+)` \|", section, re.M)
    assert sorted(rows) == sorted(matrix.usual_variants())
    assert {*rows, *matrix.MEANS} == {*matrix.all_variants()}


@pytest.mark.parametrize("name", matrix.MEANS)
def test_what_is_a_means_of_other_tests_can_still_be_asked_for(
    bench: Bench, tmp_path: Path, name: str
) -> None:
    assert run(tmp_path, "--design", "stock", "--variant", name).exit_code == 0
    assert bench.tested == [("stock", (name,))]


def test_only_the_chosen_combinations_are_built(bench: Bench, tmp_path: Path) -> None:
    arguments = ["--design", "stock", *variants("chain-16", "default")]
    assert run(tmp_path, *arguments).exit_code == 0
    assert bench.tested == [("stock", ("chain-16",)), ("stock", ())]


def test_what_cannot_be_built_or_booted_does_not_stop_the_others(
    bench: Bench, tmp_path: Path
) -> None:
    arguments = ["--design", "stock", *variants(BAD_BUILD, BAD_GUEST, BAD_KERNEL, "chain-4")]
    done = run(tmp_path, *arguments)
    assert done.exit_code == 2
    assert done.stdout.splitlines() == [
        "design  variant  build  programs  verdict",
        "stock   memcg-n      -         0  harness error: not built: exit status 2 from",
        "stock   zswap-n   22 s         0  harness error: the guest does not boot",
        "stock   stat-n    22 s         7  divergence: malloc: wrong class",
        "stock   chain-4   22 s        20  agree",
        "stock stat-n: out/findings/abc",
    ]
    assert "memcg.c:1: error: bad" in done.stderr


@pytest.mark.parametrize(
    ("chosen", "code"), [(["default"], 0), ([BAD_KERNEL], 1), ([BAD_KERNEL, BAD_GUEST], 2)]
)
def test_the_exit_code_tells_findings_from_failures(
    bench: Bench, tmp_path: Path, chosen: list[str], code: int
) -> None:
    assert run(tmp_path, *variants(*chosen)).exit_code == code


def test_an_unknown_variant_is_refused_with_those_there_are(bench: Bench, tmp_path: Path) -> None:
    done = run(tmp_path, "--variant", "chain-5")
    assert done.exit_code == 2
    assert "no variant 'chain-5': there is default, chain-16" in done.stderr
    assert bench.tested == []


def test_an_interrupt_ends_the_matrix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*_: object) -> None:
        raise BuildInterruptedError("the build was interrupted")

    monkeypatch.setattr(matrix, "ensure_kernel", interrupted)
    assert run(tmp_path).exit_code == 2
    assert not (tmp_path / "table.json").exists()
