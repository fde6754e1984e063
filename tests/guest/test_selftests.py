# SPDX-License-Identifier: GPL-2.0-only
"""The kernel tree's own tests in real guests, and guests that do not bring them to their end."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from zsfuzz.cli import main
from zsfuzz.errors import HarnessError
from zsfuzz.outcome import EXIT_CLEAN
from zsfuzz.selftests.guest import Attempt, attempt
from zsfuzz.selftests.output import Verdict
from zsfuzz.selftests.programs import DEFAULT, Program
from zsfuzz.selftests.root import ensure_root, find_busybox
from zsfuzz.selftests.run import VARIANT
from zstools.errors import SourceError, ToolMissingError
from zstools.kernel import Kernel, KernelSpec, ensure_kernel
from zstools.progress import Silent


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    try:
        find_busybox()
        return ensure_kernel(KernelSpec("zspage", "plain", variants=(VARIANT,)))
    except (SourceError, ToolMissingError, HarnessError) as error:
        pytest.skip(f"cannot run the kernel tree's own tests: {error}")


@pytest.fixture
def root(kernel: Kernel, tmp_path: Path) -> Path:
    """A guest's root that a test may add programs to."""
    return shutil.copytree(ensure_root(kernel, DEFAULT, Silent()), tmp_path / "root", symlinks=True)


def run_script(kernel: Kernel, root: Path, text: str, limit: float = 60) -> Attempt:
    folder = root / "selftests" / "ours"
    folder.mkdir()
    script = folder / "script.sh"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return attempt(kernel, root, Program("ours", "script.sh"), root.parent, limit)


def test_a_design_passes_all_that_stock_passes(kernel: Kernel, tmp_path: Path) -> None:
    table = tmp_path / "table.json"
    arguments = ["selftests", "--design", "zspage", "--output", str(tmp_path), "--json", str(table)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == EXIT_CLEAN, done.output
    cases = json.loads(table.read_text())["cases"]
    assert {case["program"] for case in cases} == {str(program) for program in DEFAULT}
    assert all(set(case["verdicts"].values()) == {"pass"} for case in cases), done.output


def test_a_program_that_does_not_end_is_stopped(kernel: Kernel, root: Path) -> None:
    got = run_script(kernel, root, "while :; do :; done", limit=0.5)
    assert got.cases[-1].verdict is Verdict.TIMEOUT


def test_a_guest_that_goes_away_is_lost_after_what_it_told(kernel: Kernel, root: Path) -> None:
    got = run_script(kernel, root, "echo ok 1 first; poweroff -f")
    assert [(c.name, c.verdict) for c in got.cases[:1]] == [("first", Verdict.PASS)]
    assert got.cases[-1].verdict is Verdict.LOST


def test_a_status_is_read_after_a_line_that_does_not_end(kernel: Kernel, root: Path) -> None:
    got = run_script(kernel, root, "echo ok 1 first; printf 'no end'; exit 3")
    assert got.cases[-1].detail == "exit status 3"


def test_tests_see_nothing_of_the_host_and_cannot_write_to_it(kernel: Kernel, root: Path) -> None:
    got = run_script(kernel, root, "ls / /tmp; touch /written")
    seen = set(got.output.split())
    assert {"bin", "dev", "init", "ours", "proc", "selftests", "sys", "tmp"} <= seen
    assert not {"etc", "home", "root", "usr"} & seen
    assert "Read-only file system" in got.output
    assert not (root / "written").exists()


def test_a_guest_that_does_not_get_as_far_as_the_test_is_our_failure(
    kernel: Kernel, root: Path, tmp_path: Path
) -> None:
    with pytest.raises(HarnessError, match="no program zram/absent"):
        attempt(kernel, root, Program("zram", "absent"), tmp_path, 60)


def test_a_test_that_is_not_in_the_tree_is_refused(kernel: Kernel) -> None:
    with pytest.raises(HarnessError, match="no test cgroup/test_absent in "):
        ensure_root(kernel, [Program("cgroup", "test_absent")], Silent())


def test_a_busybox_with_libraries_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("needs gcc: run `make setup`")
    source = tmp_path / "main.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run([gcc, str(source), "-o", str(tmp_path / "busybox")], check=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HarnessError, match="no static busybox"):
        find_busybox()
