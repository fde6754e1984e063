# SPDX-License-Identifier: GPL-2.0-only
"""A guest goes on after a divergence as long as that cannot change what is found."""

from __future__ import annotations

import pytest
from fake_target import (
    ON_SOURCE,
    WARNING_TITLE,
    FakeTarget,
    bytes_left,
    free_keeps_owner,
    has_in_order,
    runner_on,
)

from zsfuzz.minimise import kept
from zsfuzz.minimise.kept import KeptGuest, charges_matter
from zsfuzz.program import Program
from zsfuzz.text import parse_program

pytestmark = ON_SOURCE

DIVERGES = parse_program("""
o0 = malloc(p0, size=64, owner=c1)
o1 = malloc(p0, size=64)
free(o0)
o2 = malloc(p0, size=64)
""").wire
TITLE = "malloc: new object has an owner already"
FINE = parse_program("o0 = malloc(p0, size=64)\ncompact(p0)").wire
STAT = parse_program("stat(c1)").wire


class Charged(FakeTarget):
    """Keeps charges for good once a program has diverged."""

    def answer(self, wire: bytes) -> bytes:
        answer = super().answer(wire)
        return bytes_left(answer, 8) if DIVERGES in self.since_start else answer


class Spoilt(FakeTarget):
    """Reads as charged, and has objects left, once a program has diverged."""

    def answer(self, wire: bytes) -> bytes:
        spoilt = DIVERGES in self.since_start and wire != DIVERGES
        return super().answer(FINE if spoilt else wire)


def guest(target: FakeTarget, charges_matter: bool = False) -> KeptGuest:
    return KeptGuest(runner_on(target), charges_matter)


def title(kept_guest: KeptGuest, wire: bytes) -> str | None:
    trouble = kept_guest.run(wire)
    return trouble.title if trouble else None


def test_a_guest_that_is_as_a_fresh_one_goes_on() -> None:
    target = FakeTarget(free_keeps_owner)
    one = guest(target, charges_matter=True)
    assert [title(one, wire) for wire in (DIVERGES, FINE, DIVERGES)] == [TITLE, None, TITLE]
    assert target.starts == 1


def test_a_guest_with_wrong_charges_goes_on_where_these_do_not_matter() -> None:
    target = Charged(free_keeps_owner)
    one = guest(target)
    assert [title(one, DIVERGES) for _ in range(3)] == [TITLE] * 3
    assert target.starts == 1


def test_a_guest_with_wrong_charges_does_not_go_on_where_these_matter() -> None:
    target = Charged(free_keeps_owner)
    assert title(guest(target, charges_matter=True), DIVERGES) == TITLE
    assert target.starts == 2


@pytest.mark.parametrize("op", ["stat(c1)", "may_zswap(c1)", "cgroup_remove(c4)"])
def test_what_sees_charges_has_a_fresh_guest(op: str) -> None:
    target = Charged(free_keeps_owner)
    one = guest(target)
    assert title(one, DIVERGES) == TITLE
    assert [title(one, parse_program(op).wire) for _ in range(2)] == [None, None]
    assert target.starts == 2


@pytest.mark.parametrize(("wire", "matter"), [(DIVERGES, False), (STAT, True), (FINE, True)])
def test_charges_matter_to_a_finding_that_is_about_charges(wire: bytes, matter: bool) -> None:
    runner = runner_on(Charged(free_keeps_owner))
    runner.check(DIVERGES)
    trouble = runner.check(wire)
    assert trouble is not None
    assert trouble.divergence is not None
    assert charges_matter(trouble.divergence) == matter


def test_a_guest_that_is_spoilt_does_not_go_on() -> None:
    target = Spoilt(free_keeps_owner)
    assert title(guest(target), DIVERGES) == TITLE
    assert target.starts == 2


def test_programs_that_differ_in_charges_alone_have_a_fresh_guest_soon() -> None:
    target = Charged(free_keeps_owner)
    one = guest(target)
    title(one, DIVERGES)
    titles = [title(one, FINE) for _ in range(kept.PATIENCE + 1)]
    assert None not in titles[:-1]
    assert titles[-1] is None
    assert target.starts == 2


def test_a_splat_in_a_guest_with_wrong_charges_is_seen_again() -> None:
    class Underflows(Charged):
        def __init__(self) -> None:
            super().__init__(free_keeps_owner, warns=self.second)

        def second(self, program: Program) -> bool:
            return program.wire == FINE and DIVERGES in self.since_start

    target = Underflows()
    one = guest(target)
    title(one, DIVERGES)
    assert title(one, FINE) is None
    assert target.starts == 2


def test_a_splat_is_told_and_the_guest_is_a_fresh_one() -> None:
    target = FakeTarget(warns=lambda program: has_in_order(program, "compact"))
    assert title(guest(target), FINE) == WARNING_TITLE
    assert target.starts == 2
