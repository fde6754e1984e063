# SPDX-License-Identifier: GPL-2.0-only
"""The doctor passes a good set-up, and names what is wrong with a bad one and the cure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from guest_support import built, zsfuzz

from zsfuzz import doctor, doctorcli
from zsfuzz.cli import main
from zsfuzz.doctor import THOROUGH, Check, examine
from zsfuzz.guest.machine import Machine
from zstools.kernel import Kernel, KernelSpec


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[[Kernel], Result]:
    """Run `zsfuzz doctor` in this process, on one kernel."""

    def run(kernel: Kernel) -> Result:
        monkeypatch.setattr(doctorcli, "take_kernels", lambda *_: [kernel])
        return CliRunner().invoke(main, ["doctor"])

    return run


def no_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel with the planted fault be the clean one: the fault is absent."""

    def clean(spec: KernelSpec) -> Kernel:
        assert spec.extra_patches[-1].name == "free-keeps-owner.patch"
        return built(spec.design, spec.flavour)

    monkeypatch.setattr(doctor, "ensure_kernel", clean)


def sick_kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """A kernel with a bug, and a small program on which it shows."""
    monkeypatch.setattr(doctor, "EXERCISE", doctor.EXERCISE + doctor.SLOT_KEEPS_OWNER)
    return built("zspage", "plain", doctor.planted_patch("zspage", "free-keeps-owner"))


# ---- good ----------------------------------------------------------------------------------


def test_a_good_set_up_passes_on_both_flavours(tmp_path: Path) -> None:
    built("zspage", "plain")
    done = zsfuzz("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    for flavour in ("plain", "kasan"):
        lines = [line for line in done.stdout.splitlines() if line.startswith(f"{flavour} ")]
        assert len(lines) == 1 + len(THOROUGH)
        assert all(line.endswith(" ok") for line in lines)
    assert "cure" not in done.stdout


def test_stock_passes_without_a_planted_fault() -> None:
    checks = examine(built("stock", "plain"), THOROUGH)
    assert [check.passed for check in checks] == [True] * (1 + len(THOROUGH))


# ---- bad -----------------------------------------------------------------------------------


def failed(checks: list[Check]) -> Check:
    """The one check that failed; it says what to do."""
    (bad,) = [check for check in checks if not check.passed]
    assert bad.cure
    return bad


def no_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let guests collect none."""
    describe = Machine._describe

    def without(self: Machine) -> object:
        self.flags = 0
        return describe(self)

    monkeypatch.setattr(Machine, "_describe", without)


def test_a_guest_without_coverage_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    no_coverage(monkeypatch)
    bad = failed(examine(built("zspage", "plain"), doctor.QUICK))
    assert bad.name == "a known path lights up its coverage"
    assert "reached 0 functions" in bad.detail
    assert "KCOV is off" in bad.cure


def test_a_comparison_that_sees_no_planted_fault_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    no_build(monkeypatch)
    bad = failed(examine(built("zspage", "plain"), THOROUGH))
    assert bad.name == "a planted ownership fault diverges"
    assert bad.detail == "no difference was seen"


def test_a_kernel_without_kasan_fails_as_kasan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_build(monkeypatch)
    plain = built("zspage", "plain")
    posing = replace(plain, spec=replace(plain.spec, flavour="kasan"))
    bad = failed(examine(posing, (doctor.kasan_trips,)))
    assert bad.name == "a planted use after free trips KASAN"
    assert bad.detail == "nothing was reported"
    assert "KASAN is off" in bad.cure


def test_a_kernel_that_differs_from_the_model_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = failed(examine(sick_kernel(monkeypatch), (doctor.model_agrees,)))
    assert bad.name == "kernel and model agree on a small program"
    assert bad.detail.startswith("divergence: ")


def test_a_kernel_that_keeps_references_fails() -> None:
    patch = doctor.planted_patch("zspage", "free-keeps-reference")
    kernel = built("zspage", "plain", patch)
    bad = failed(examine(kernel, (*doctor.QUICK, doctor.cgroups_go_away)))
    assert bad.name == "removed cgroups go away"


def test_a_guest_that_does_not_boot_fails(tmp_path: Path) -> None:
    broken = replace(built("zspage", "plain"), linux=tmp_path / "missing")
    bad = failed(examine(broken, doctor.QUICK))
    assert bad.name == "the guest boots"
    assert "cannot be started" in bad.detail


def test_the_command_fails_and_prints_the_cure(
    ask: Callable[[Kernel], Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_build(monkeypatch)
    result = ask(built("zspage", "plain"))
    assert result.exit_code == 2
    (line,) = [line for line in result.stdout.splitlines() if line.endswith("FAILED")]
    assert "a planted ownership fault diverges" in line
    assert "cure: the comparison is blind" in result.stdout


def test_a_run_refuses_to_start_on_a_sick_set_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_coverage(monkeypatch)
    options = ["run", "--flavour", "plain", "--time", "1", "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 2
    assert "this set-up does not work" in result.stderr
    assert "a known path lights up its coverage" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_kernel_that_is_wrong_is_for_the_run_to_report(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(check.passed for check in examine(sick_kernel(monkeypatch), doctor.QUICK))
