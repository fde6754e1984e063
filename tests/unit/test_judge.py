# SPDX-License-Identifier: GPL-2.0-only
"""A candidate counts if outcome and title are the same, and the result is seen on a fresh guest."""

from __future__ import annotations

from fake_target import (
    ON_SOURCE,
    WARNING_TITLE,
    FakeTarget,
    bytes_left,
    free_keeps_owner,
    has_in_order,
    runner_on,
)
from model_support import random_program

from zsfuzz.minimise.judge import Judge, Smaller, minimise_trouble
from zsfuzz.outcome import Outcome
from zsfuzz.program import Program
from zsfuzz.runner import ORPHAN_TITLE, Trouble
from zsfuzz.text import format_program, parse_program

pytestmark = ON_SOURCE

CGROUPS = ("cgroup_remove", "cgroup_create")
TRIGGER = parse_program("""
o200 = malloc(p0, size=472, owner=c2)
o201 = malloc(p0, size=472, owner=c5)
free(o201)
o202 = malloc(p0, size=472)
""").wire
NOISE = b"".join(
    (
        random_program(7, 40, without=(*CGROUPS, "free")),
        TRIGGER,
        parse_program("compact(p0)").wire,
        random_program(8, 40, without=CGROUPS),
    )
)


def found(target: FakeTarget, wire: bytes = NOISE) -> Trouble:
    trouble = runner_on(target).run_and_audit(wire)
    assert trouble is not None
    return trouble


def small(target: FakeTarget, trouble: Trouble) -> Smaller:
    smaller = minimise_trouble(runner_on(target), trouble, lambda: False)
    assert smaller is not None
    assert (smaller.trouble.outcome, smaller.trouble.title) == (trouble.outcome, trouble.title)
    return smaller


def lines(smaller: Smaller) -> list[str]:
    return format_program(smaller.minimised.program).splitlines()


def frees_then_compacts(program: Program) -> bool:
    return has_in_order(program, "free", "compact")


def test_a_fault_of_the_kernel_comes_down_to_what_shows_it() -> None:
    target = FakeTarget(free_keeps_owner)
    smaller = small(target, found(target))
    assert smaller.trouble.title == "malloc: new object has an owner already"
    assert lines(smaller) == [
        "o0 = malloc(p0, size=2040)",
        "o1 = malloc(p0, size=2040, owner=c1)",
        "free(o1)",
        "o2 = malloc(p0, size=2040)",
    ]


def test_guests_go_on_while_a_divergence_is_minimised() -> None:
    target = FakeTarget(free_keeps_owner)
    trouble, starts = found(target), target.starts
    small(target, trouble)
    assert target.starts - starts == 3  # when it was seen first, before it is seen last, and after


def test_a_splat_is_minimised_by_its_title_though_answers_differ() -> None:
    target = FakeTarget(free_keeps_owner, warns=frees_then_compacts)
    smaller = small(target, found(target))
    assert smaller.trouble.outcome is Outcome.KERNEL_SPLAT
    assert smaller.trouble.title == WARNING_TITLE
    assert lines(smaller) == ["free(o0)", "compact(p0)"]


def test_what_an_audit_finds_is_minimised_with_audits() -> None:
    target = FakeTarget(leaks=frees_then_compacts)
    smaller = small(target, found(target))
    assert smaller.trouble.title == ORPHAN_TITLE
    assert lines(smaller) == ["free(o0)", "compact(p0)"]


def test_another_title_is_not_the_finding() -> None:
    target = FakeTarget(dies=lambda program: len(program) == 1)
    judge = Judge(Trouble(Outcome.GUEST_LOST, "other", b""), runner_on(target).run)
    assert not judge(parse_program("compact(p0)").wire)


def test_a_beginning_that_differs_in_another_way_is_not_run_again() -> None:
    target = FakeTarget(free_keeps_owner)
    judge = Judge(Trouble(Outcome.DIVERGENCE, "other", b""), runner_on(target).run)
    wire = found(target).wire
    assert not judge(wire)
    ran = len(target.wires)
    assert not judge(wire + parse_program("compact(p0)").wire)
    assert len(target.wires) == ran


def test_of_a_splat_a_beginning_that_differs_says_nothing() -> None:
    target = FakeTarget(free_keeps_owner, warns=frees_then_compacts)
    judge = Judge(Trouble(Outcome.KERNEL_SPLAT, WARNING_TITLE, b""), runner_on(target).run)
    assert not judge(TRIGGER)
    assert judge(TRIGGER + parse_program("compact(p0)").wire)


class Lingering(FakeTarget):
    """A finding that, once seen, shows with every program, until the guest is a fresh one."""

    def answer(self, wire: bytes) -> bytes:
        answer = super().answer(wire)
        began = any(frees_then_compacts(Program.from_wire(ran)) for ran in self.since_start)
        if not wire or not began:
            return answer
        return bytes_left(answer, 8)


def test_a_result_that_a_fresh_guest_does_not_show_is_looked_for_again() -> None:
    target = Lingering()
    smaller = small(target, found(target))
    assert lines(smaller) == ["free(o0)", "compact(p0)"]


def test_a_finding_that_is_gone_is_not_minimised() -> None:
    trouble = found(FakeTarget(free_keeps_owner))
    assert minimise_trouble(runner_on(FakeTarget()), trouble, lambda: False) is None
