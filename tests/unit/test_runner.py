# SPDX-License-Identifier: GPL-2.0-only
"""What the runner makes of trouble."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fake_target import (
    KERNEL,
    ON_SOURCE,
    WARNING_TITLE,
    FakeTarget,
    free_keeps_owner,
    has_in_order,
    runner_on,
)

from zsfuzz.errors import HarnessError
from zsfuzz.outcome import Outcome
from zsfuzz.program import Program
from zsfuzz.runner import ORPHAN_TITLE, Runner, Trouble
from zsfuzz.text import parse_program
from zsmodel import Model

pytestmark = ON_SOURCE

KEPT = parse_program("""
o0 = malloc(p0, size=64, owner=c1)
o1 = malloc(p0, size=64)
free(o0)
o2 = malloc(p0, size=64)
""").wire
KEPT_TITLE = "malloc: new object has an owner already"


def frees(program: Program) -> bool:
    return has_in_order(program, "free")


# ---- a complaint and an answer -----------------------------------------------------------------


def test_a_kernel_that_warns_and_answers_wrongly_has_a_splat_and_a_divergence() -> None:
    trouble = runner_on(FakeTarget(free_keeps_owner, warns=frees)).run(KEPT)
    assert trouble is not None
    assert (trouble.outcome, trouble.title) == (Outcome.KERNEL_SPLAT, WARNING_TITLE)
    assert trouble.splat is not None
    assert trouble.divergence is not None
    assert trouble.divergence.title == KEPT_TITLE


def test_a_kernel_that_warns_and_answers_rightly_has_no_divergence() -> None:
    trouble = runner_on(FakeTarget(warns=frees)).run(KEPT)
    assert trouble is not None
    assert trouble.title == WARNING_TITLE
    assert trouble.divergence is None


class OutOfMemory(FakeTarget):
    """Has no memory for the second operation."""

    def answer(self, wire: bytes) -> bytes:
        return Model(KERNEL).run(wire, {1: (-12, 0)})


def test_the_word_of_a_kernel_that_warns_is_taken_where_slab_can_explain_it() -> None:
    wire = parse_program("fail_next(nth=9)\no0 = malloc(p0, size=64)").wire
    trouble = runner_on(OutOfMemory(warns=lambda _: True)).run(wire)
    assert trouble is not None
    assert trouble.divergence is None


def test_a_kernel_that_dies_has_no_divergence() -> None:
    trouble = runner_on(FakeTarget(free_keeps_owner, dies=frees)).run(KEPT)
    assert trouble is not None
    assert trouble.outcome is Outcome.KERNEL_SPLAT
    assert trouble.divergence is None


def test_a_kernel_that_answers_wrongly_and_then_dies_is_named_by_the_answer() -> None:
    target = FakeTarget(free_keeps_owner, dies=frees)
    target.finishes = 4
    trouble = runner_on(target).run(KEPT)
    assert trouble is not None
    assert (trouble.outcome, trouble.title) == (Outcome.DIVERGENCE, KEPT_TITLE)
    assert trouble.reason == "then the guest died: kernel panic: died"
    assert trouble.divergence is not None
    assert (trouble.divergence.step, trouble.divergence.stopped) == (4, "")


def test_a_kernel_that_answers_wrongly_and_then_hangs_is_named_by_the_answer() -> None:
    target = FakeTarget(free_keeps_owner, dies=frees)
    target.finishes, target.hangs = 4, True
    trouble = runner_on(target).run(KEPT)
    assert trouble is not None
    assert (trouble.outcome, trouble.title) == (Outcome.DIVERGENCE, KEPT_TITLE)
    assert trouble.reason == "then the guest hung: guest does not answer"


def test_a_kernel_that_answers_rightly_until_it_dies_is_named_by_its_death() -> None:
    target = FakeTarget(free_keeps_owner, dies=frees)
    target.finishes = 3  # the wrong answer comes after these
    trouble = runner_on(target).run(KEPT)
    assert trouble is not None
    assert trouble.outcome is Outcome.KERNEL_SPLAT
    assert trouble.divergence is None


# ---- afterwards --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [FakeTarget(free_keeps_owner), FakeTarget(warns=frees), FakeTarget(dies=frees)],
    ids=["divergence", "splat", "death"],
)
def test_after_trouble_the_guest_is_a_fresh_one(target: FakeTarget) -> None:
    assert runner_on(target).run(KEPT) is not None
    assert target.starts == 2


def test_a_check_leaves_the_guest_as_it_is() -> None:
    target = FakeTarget(free_keeps_owner)
    assert runner_on(target).check(KEPT) is not None
    assert target.starts == 1


@pytest.mark.parametrize("run", [Runner.run, Runner.run_and_audit, Runner.replay])
def test_what_was_seen_before_no_other_guest_comes_up_is_not_lost(
    run: Callable[[Runner, bytes], Trouble | None],
) -> None:
    target = FakeTarget(free_keeps_owner)
    target.starts_left = 0
    with pytest.raises(HarnessError, match="no space") as raised:
        run(runner_on(target), KEPT)
    assert [seen.title for seen in raised.value.unsaved] == [KEPT_TITLE]


def test_what_an_audit_has_seen_is_not_lost_either() -> None:
    target = FakeTarget(leaks=frees)
    target.starts_left = 0
    runner = runner_on(target)
    assert runner.check(KEPT) is None
    with pytest.raises(HarnessError, match="no space") as raised:
        runner.audit()
    assert [seen.title for seen in raised.value.unsaved] == [ORPHAN_TITLE]


def test_an_examination_leaves_the_guest_as_it_is() -> None:
    target = FakeTarget(leaks=frees)
    trouble = runner_on(target).examine(KEPT)
    assert trouble is not None
    assert (trouble.title, trouble.wire, target.starts) == (ORPHAN_TITLE, KEPT, 1)


# ---- guests that are killed from outside -------------------------------------------------------


def test_a_program_whose_guest_was_killed_is_run_again() -> None:
    target = FakeTarget(dies=lambda _: target.killed > 0)
    target.killed = 2
    runner = runner_on(target)
    assert runner.run(KEPT) is None
    assert (runner.killed, target.starts, len(target.wires)) == (2, 3, 3)


def test_guests_that_are_killed_without_end_are_a_failure_of_the_harness() -> None:
    target = FakeTarget(dies=lambda _: True)
    target.killed = 100
    with pytest.raises(
        HarnessError, match="5 guests were lost in a row, from outside: the guest was killed"
    ):
        runner_on(target).run(KEPT)


def test_a_wrong_answer_before_a_guest_was_killed_is_a_finding() -> None:
    target = FakeTarget(free_keeps_owner, dies=frees)
    target.finishes, target.killed = 4, 1
    trouble = runner_on(target).run(KEPT)
    assert trouble is not None
    assert (trouble.outcome, trouble.title) == (Outcome.DIVERGENCE, KEPT_TITLE)
    assert trouble.reason == "then the guest died: killed from outside"


def test_a_program_whose_guest_was_killed_in_the_audit_is_run_again() -> None:
    target = FakeTarget(leaks=frees)
    target.audits_killed = 2
    runner = runner_on(target)
    trouble = runner.run_and_audit(KEPT)
    assert trouble is not None
    assert trouble.title == ORPHAN_TITLE
    assert (runner.killed, len(target.wires)) == (2, 3)


def test_guests_that_are_killed_in_every_audit_are_a_failure_of_the_harness() -> None:
    target = FakeTarget()
    target.audits_killed = 100
    with pytest.raises(HarnessError, match="5 guests were lost in a row"):
        runner_on(target).run_and_audit(KEPT)


def test_an_audit_whose_guest_was_killed_sees_nothing() -> None:
    target = FakeTarget()
    target.audits_killed = 1
    runner = runner_on(target)
    assert runner.audit() is None
    assert (runner.killed, target.starts) == (1, 2)
