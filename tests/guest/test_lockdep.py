# SPDX-License-Identifier: GPL-2.0-only
"""Locking, sleeping and leaks: the slow checkers find nothing, and find what is planted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from guest_support import SEEDS, built, machine_of, runner_of

from zsfuzz.console.complaints import find_splats
from zsfuzz.guest.machine import Machine
from zsfuzz.outcome import Outcome
from zsfuzz.smoke import mutated
from zsfuzz.text import parse_program

PLANTED = Path(__file__).parent / "planted" / "locking.patch"
# kmemleak takes whatever looks like a pointer for one, such as an old word on a stack, so that it
# may miss an array.  Here are 24, of different sizes.
LOSES_ARRAYS = parse_program(
    "\n".join(f"o{n} = malloc(p0, size={128 * (n + 1)}, owner=c1)\nfree(o{n})" for n in range(24))
).wire
# p1 has no arrays to lose.
COMPACTS = parse_program("""\
o0 = malloc(p1, size=3000)
o1 = malloc(p1, size=3000)
o2 = malloc(p1, size=3000)
free(o0)
compact(p1)
""").wire


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    console = tmp_path_factory.mktemp("lockdep") / "console"
    with machine_of(built("zspage", "lockdep"), console) as guest:
        yield guest


def test_the_checkers_are_in_the_kernel() -> None:
    config = (built("zspage", "lockdep").build / ".config").read_text().splitlines()
    for option in ("PROVE_LOCKING", "DEBUG_ATOMIC_SLEEP", "DEBUG_KMEMLEAK"):
        assert f"CONFIG_{option}=y" in config


def test_seeds_and_mutated_programs_bring_no_complaint(clean: Machine) -> None:
    runner = runner_of(clean)
    for entry in SEEDS:
        assert runner.run(entry.program.wire) is None, entry.path
    programs = list(mutated(clean.kernel, 300))
    for wire in programs:
        trouble = runner.run(wire)
        assert trouble is None, (trouble.title, wire.hex())
    assert runner.audit() is None
    assert find_splats(clean.console()) == []
    assert clean.starts == 1


# ---- the checkers can fail -----------------------------------------------------------------


@contextmanager
def planted(tmp_path: Path) -> Iterator[Machine]:
    kernel = built("zspage", "lockdep", PLANTED)
    with machine_of(kernel, tmp_path / "console") as guest:
        yield guest


def test_a_call_that_may_sleep_under_a_spinlock_is_a_splat(tmp_path: Path) -> None:
    with planted(tmp_path) as guest:
        trouble = runner_of(guest).run(COMPACTS)
    assert trouble is not None
    assert trouble.outcome is Outcome.KERNEL_SPLAT
    assert trouble.title == "sleeping function while atomic in __zs_compact"


def test_locks_in_the_wrong_order_are_a_splat(tmp_path: Path) -> None:
    with planted(tmp_path) as guest:
        trouble = runner_of(guest).run(parse_program("shrink(p1)").wire)
    assert trouble is not None
    assert trouble.outcome is Outcome.KERNEL_SPLAT
    dependency = "lockdep: possible circular locking dependency detected"
    assert trouble.title == f"{dependency} in __zs_compact"


def test_lost_owner_arrays_are_a_splat_at_the_next_audit(tmp_path: Path) -> None:
    with planted(tmp_path) as guest:
        trouble = runner_of(guest).run_and_audit(LOSES_ARRAYS)
    assert trouble is not None
    assert (trouble.outcome, trouble.title) == (Outcome.KERNEL_SPLAT, "memory leak in zs_malloc")
    first, *others = trouble.console.split("unreferenced object 0x")[1:]
    # The patch spares other pools, where zswap keeps what the agent swaps at the start.
    assert "zsf_op_run" in first
    assert len(others) > 1
