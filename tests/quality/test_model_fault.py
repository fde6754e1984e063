# SPDX-License-Identifier: GPL-2.0-only
"""A fault in the model is found on the real kernel within few programs of the mutator."""

from __future__ import annotations

import struct

import pytest
from test_model_mutants import MUTANTS

from zsfuzz.lockstep import Lockstep
from zsfuzz.oracle import compare
from zsfuzz.program import Program
from zsfuzz.runner import Runner
from zsfuzz.smoke import mutated
from zsmodel import Model, zspage

# Seldom: needs a removed cgroup, a held zspage, or a list of several zspages in the right state.
PROGRAMS, MANY = 300, 10_000
SELDOM = {
    "a_zspage_of_the_same_group_moves_to_the_head",
    "compaction_ignores_readers",
    "deferred_pages_are_not_counted",
    "group_0_is_not_taken_up_again",
    "removed_cgroups_take_their_charges_with_them",
}

pytestmark = pytest.mark.skipif(
    not zspage.__file__.endswith(".py"), reason="a compiled model cannot be patched: run the source"
)


def find(runner: Runner, programs: int) -> str | None:
    """The title of the first difference, or how the model broke; None if there is none."""
    lockstep = Lockstep(runner.target, Model(runner.target.kernel))
    for wire in mutated(runner.target.kernel, programs, seed=3):
        try:
            found = lockstep.check(wire)
        except (AttributeError, IndexError, KeyError, ValueError, struct.error) as error:
            runner.target.restart()  # it still runs the program
            return type(error).__name__
        if found is not None:
            program = Program.from_wire(wire)
            divergence = compare(program, found.kernel, found.model, runner.target.kernel)
            assert divergence is not None
            return divergence.title
    return None


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_fault_is_found(
    runner: Runner, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    MUTANTS[name](monkeypatch)
    assert find(runner, MANY if name in SELDOM else PROGRAMS)


def test_without_a_fault_nothing_is_found(runner: Runner) -> None:
    assert find(runner, PROGRAMS) is None


TITLES = {
    "zspages_enter_their_list_at_the_tail": "order of zspages in a fullness list differs",
    "freed_slots_are_handed_out_first_in_first_out": "free list differs",
    "compaction_drops_the_owner": "owner",
    "the_charge_is_the_size_asked_for": "charged",
}


@pytest.mark.parametrize("name", TITLES)
def test_the_title_tells_what_is_wrong(
    runner: Runner, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    MUTANTS[name](monkeypatch)
    title = find(runner, PROGRAMS)
    assert title is not None
    assert TITLES[name] in title
