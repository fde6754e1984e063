# SPDX-License-Identifier: GPL-2.0-only
"""Stand-alone reproducers fail on the kernel with the bug, and pass on the clean one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from guest_support import SEEDS, built
from test_files import run_init
from test_planted_programs import BUGS, ON_ZSPAGE

from zsfuzz.corpusfile import Entry
from zsfuzz.mutation.rawbytes import SWAP_OPS
from zsfuzz.planted import planted_patch
from zsfuzz.program import Opcode
from zsfuzz.repro.attempt import Attempt, run_root
from zsfuzz.repro.check import Pair, check
from zsfuzz.repro.check import pairs as all_pairs
from zsfuzz.repro.cli import render
from zsfuzz.text import parse_program
from zstools.kernel import Kernel

AGENTS = {Opcode.CGROUP_CREATE, Opcode.CGROUP_REMOVE, Opcode.FAIL_NEXT, *SWAP_OPS}
# What swap_compact() of zswap's pool does, no file of the kernel does.
HARD_SEEDS = [
    entry
    for entry in SEEDS
    if any(op.op in AGENTS for op in entry.program)
    and not any(op.op is Opcode.SWAP_COMPACT and not op.arg for op in entry.program)
]
LEAKS = Path(__file__).parents[1] / "guest" / "planted" / "locking.patch"
PYTHON_INIT = Path(__file__).with_name("pythoninit.c")
# Each is tried in Python as well, on both kernels.
IN_PYTHON = ("free-keeps-reference", "removed-cgroup-keeps-charge", "compaction-loses-owner")


def built_with(design: str, flavour: str, patches: tuple[Path, ...]) -> Kernel:
    return built(design, flavour, *patches)


def compiled(source: Path, target: Path) -> None:
    options = ["-O2", "-Wall", "-Wextra", "-Werror", "-static"]
    subprocess.run(["gcc", *options, source, "-o", target], check=True)


def run_c(kernel: Kernel, entry: Entry, folder: Path) -> str:
    """Be the guest's init: what it prints, and the console."""
    folder.mkdir()
    source = folder / "reproducer.c"
    source.write_text(render(entry, "c", kernel.spec.design))
    shutil.copytree(kernel.guest_root, folder / "root")
    compiled(source, folder / "root" / "init")
    return run_init(kernel, folder / "root", folder)


def run_python(kernel: Kernel, entry: Entry, folder: Path) -> str:
    """Run under the host's Python, which the guest sees as it sees all of the host's files."""
    folder.mkdir()
    script = folder / "reproducer.py"
    script.write_text(render(entry, "python", kernel.spec.design))
    shutil.copytree(kernel.guest_root, folder / "root")
    (folder / "root" / "host").mkdir()
    (folder / "root" / "script").write_text(str(script.resolve()))
    compiled(PYTHON_INIT, folder / "root" / "init")
    return run_init(kernel, folder / "root", folder)


SLOW = pytest.mark.skipif(
    "ZSFUZZ_ALL_REPRODUCERS" not in os.environ,
    reason="all of them take long: set ZSFUZZ_ALL_REPRODUCERS, or run `zsfuzz check-reproducers`",
)


def representative(pair: Pair) -> bool:
    """One design of each bug that shows on plain, and both of the one that differs in effect."""
    if "rarely" in pair.entry.extra:
        return False
    if pair.flavour != "plain":
        return pair.bug == "deferred-free-leaks-array"
    return pair.design == "zpdesc" or pair.bug in ON_ZSPAGE


PAIRS = [
    pytest.param(pair, id=f"{pair.bug}-{pair.design}", marks=() if representative(pair) else SLOW)
    for pair in all_pairs()
]


@pytest.mark.parametrize("pair", PAIRS)
def test_in_c_it_fails_on_the_bug_only(pair: Pair, tmp_path: Path) -> None:
    row = check(pair, built_with, tmp_path)
    assert row.clean.passes, row.clean.console
    # The guest may die of the bug after the difference was seen.
    assert row.buggy.fails, row.buggy.console


def test_one_that_cannot_be_tried_neither_passes_nor_fails() -> None:
    for code in (2, None):
        attempt = Attempt(code, "reproducer: cannot be tried: no\n")
        assert not attempt.passes
        assert not attempt.fails


def test_one_that_does_not_end_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zsfuzz.repro.attempt.LIMIT", 3.0)
    kernel = built("zspage", "plain")
    shutil.copytree(kernel.guest_root, tmp_path / "root")
    source = tmp_path / "init.c"
    source.write_text("int main(void) { for (;;); }")
    compiled(source, tmp_path / "root" / "init")
    attempt = run_root(kernel, tmp_path / "root", tmp_path)
    assert attempt.fails
    assert not attempt.passes
    assert "had not ended after 3 s" in attempt.told


@pytest.mark.parametrize("name", IN_PYTHON)
def test_in_python_it_fails_on_the_bug_only(name: str, tmp_path: Path) -> None:
    clean = run_python(built("zpdesc", "plain"), BUGS[name], tmp_path / "clean")
    assert "reproducer: exit 0" in clean, clean
    kernel = built("zpdesc", "plain", planted_patch("zpdesc", name))
    broken = run_python(kernel, BUGS[name], tmp_path / "bug")
    assert "reproducer: exit 1" in broken, broken


@pytest.mark.parametrize("entry", HARD_SEEDS, ids=lambda entry: entry.path.stem)
def test_what_the_agent_does_for_programs_a_reproducer_does_by_itself(
    entry: Entry, tmp_path: Path
) -> None:
    console = run_c(built("zspage", "plain"), entry, tmp_path / "clean")
    assert "reproducer: exit 0" in console, console


def test_where_there_is_kmemleak_it_sees_what_is_lost(tmp_path: Path) -> None:
    entry = Entry(parse_program(100 * "o0 = malloc(p0, size=2720, owner=c1)\nfree(o0)\n"))
    clean = run_c(built("zspage", "lockdep"), entry, tmp_path / "clean")
    assert "reproducer: exit 0" in clean, clean
    broken = run_c(built("zspage", "lockdep", LEAKS), entry, tmp_path / "bug")
    assert "reproducer: kmemleak: " in broken, broken
    assert "unreferenced object 0x" in broken
    assert "reproducer: exit 1" in broken


def test_on_a_kernel_of_another_design_it_cannot_be_tried(tmp_path: Path) -> None:
    entry = BUGS["span-entry-missing"]
    (tmp_path / "x").mkdir()
    other = render(entry, "c", "zspage")
    kernel = built("zpdesc", "plain")
    shutil.copytree(kernel.guest_root, tmp_path / "root")
    (tmp_path / "r.c").write_text(other)
    compiled(tmp_path / "r.c", tmp_path / "root" / "init")
    console = run_init(kernel, tmp_path / "root", tmp_path / "x")
    assert "this kernel is not of design zspage" in console
    assert "reproducer: exit 2" in console
