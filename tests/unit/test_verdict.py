# SPDX-License-Identifier: GPL-2.0-only
"""Replays are counted, what does not come again says why that may be, other flavours are tried."""

from __future__ import annotations

from functools import partial
from typing import cast

import pytest
from fake_target import FakeTarget, runner_on

from zsfuzz.errors import HarnessError
from zsfuzz.findings import verdict
from zsfuzz.findings.verdict import Boot, Reproduced, flaky_causes, reproduce, try_elsewhere
from zsfuzz.guest.machine import Machine
from zsfuzz.outcome import Outcome
from zsfuzz.program import Program
from zsfuzz.runner import Trouble
from zsfuzz.text import parse_program

WIRE = parse_program("o0 = malloc(p0, size=64)\nfree(o0)").wire
TROUBLE = Trouble(Outcome.KERNEL_SPLAT, "kernel panic: died", WIRE)


class Sometimes:
    """True in every n-th program."""

    def __init__(self, n: int) -> None:
        self.n, self.asked = n, 0

    def __call__(self, _: Program) -> bool:
        self.asked += 1
        return self.asked % self.n == 0


@pytest.mark.parametrize(("every", "hits"), [(1, 10), (2, 5), (5, 2), (11, 0)])
def test_replays_that_end_with_the_same_title_are_counted(every: int, hits: int) -> None:
    target = FakeTarget(dies=Sometimes(every))
    assert reproduce(runner_on(target), TROUBLE) == Reproduced(hits, 10)
    assert target.starts == 11


def test_another_title_does_not_count() -> None:
    other = Trouble(Outcome.KERNEL_SPLAT, "kernel panic: another", WIRE)
    assert reproduce(runner_on(FakeTarget(dies=lambda _: True)), other).hits == 0


def test_what_an_audit_finds_counts() -> None:
    target = FakeTarget(leaks=lambda program: len(program) == 2)
    trouble = runner_on(target).run_and_audit(WIRE)
    assert trouble is not None
    assert reproduce(runner_on(target), trouble) == Reproduced(10, 10)


def test_one_hit_may_be_enough() -> None:
    runner = runner_on(FakeTarget(dies=Sometimes(3)))
    assert reproduce(runner, TROUBLE, enough=1) == Reproduced(1, 3)


def test_a_run_that_ends_has_one_replay() -> None:
    runner = runner_on(FakeTarget(dies=Sometimes(1)))
    assert reproduce(runner, TROUBLE, lambda: True) == Reproduced(1, 1)


def test_slow_replays_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "REPLAY_SECONDS", -1.0)
    assert reproduce(runner_on(FakeTarget()), TROUBLE) == Reproduced(0, 1)


def test_without_a_program_nothing_is_replayed() -> None:
    seen = reproduce(runner_on(FakeTarget()), Trouble(Outcome.DIVERGENCE, "t", b""))
    assert seen.pair is None


@pytest.mark.parametrize("outcome", verdict.LIKELY_CAUSES)
def test_what_does_not_come_again_has_likely_causes(outcome: Outcome) -> None:
    text = flaky_causes(Trouble(outcome, "t", WIRE), Reproduced(0, 10))
    assert text.startswith(f"a {outcome.value}, not in 10 replays on fresh guests; likely causes:")
    assert text.count("\n    - ") == len(verdict.LIKELY_CAUSES[outcome]) > 0


# ---- other flavours ----------------------------------------------------------------------------


def guest(**faults: object) -> Boot:
    return cast("Boot", partial(FakeTarget, **faults))


def no_guest() -> Machine:
    raise HarnessError("no boot")


def dies(_: Program) -> bool:
    return True


def test_flavours_are_sorted_by_whether_it_shows() -> None:
    found = try_elsewhere(TROUBLE, {"kasan": guest(dies=dies), "lockdep": guest()})
    assert (found.shows, found.silent, found.notes) == (("kasan",), ("lockdep",), ())


def test_another_title_elsewhere_is_told() -> None:
    found = try_elsewhere(TROUBLE, {"kasan": guest(leaks=dies)})
    assert found.shows == ("kasan",)
    assert found.notes == (
        "on kasan it is a divergence: owner outlives its cgroup and all its objects",
    )


def test_a_flavour_that_does_not_boot_is_neither() -> None:
    found = try_elsewhere(TROUBLE, {"kasan": no_guest})
    assert (found.shows, found.silent, found.notes) == ((), (), ("not tried on kasan: no boot",))
