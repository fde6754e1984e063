# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import pytest
from model_support import Answer, malloc, op

from zsmodel import Kernel, Model
from zsmodel.profile import OPTIONS, Profile, explain, parse_profile
from zsmodel.rules import rule_for
from zsmodel.wire import NONE8

pytestmark = pytest.mark.unit

SIZE, CLASS = 3300, 3408


def by(profile: str, design: str = "zspage") -> Model:
    return Model(Kernel(design, profile=parse_profile(profile)))


def write(number: int, size: int, owner: int) -> bytes:
    return op("write", number, owner=owner, size=size)


def stat(owner: int) -> bytes:
    return op("stat", owner=owner)


def charged(program: bytes, profile: str, owner: int = 1) -> int:
    last = Answer(program + stat(owner), by(profile)).last
    return int(last["value"]) | int(last["tags"]) << 16


def owner_of(program: bytes, profile: str) -> int:
    return int(Answer(program, by(profile)).last["owner"])


def test_text_and_profile_are_the_same() -> None:
    text = "charge-unit=payload,rewrite=keep"
    assert str(parse_profile(text)) == text
    assert parse_profile("default") == parse_profile("") == Profile()
    assert str(Profile()) == ""


@pytest.mark.parametrize("text", ["charge-unit=page", "colour=red", "rewrite", "rewrite="])
def test_what_there_is_not_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(ValueError, match="use one of"):
        parse_profile(text)


def test_each_value_can_be_set_and_explained() -> None:
    for option, values in OPTIONS.items():
        for value in values:
            assert parse_profile(f"{option}={value}").value(option) == value
            assert explain(option, value).endswith(f"profile {option}={value}")


@pytest.mark.parametrize(
    ("profile", "bytes_"),
    [
        ("", CLASS),
        ("charge-unit=payload", 1000),
        ("charge-unit=request", SIZE),
        ("charge-time=zswap", 0),
        ("charge-time=malloc", 0),
    ],
)
def test_what_a_write_charges(profile: str, bytes_: int) -> None:
    assert charged(malloc(0, SIZE) + write(0, 1000, 1), profile) == bytes_


@pytest.mark.parametrize("profile", [f"{o}={v}" for o, vs in OPTIONS.items() for v in vs])
def test_nothing_is_left_charged_after_a_free(profile: str) -> None:
    used = malloc(0, SIZE, owner=1) + write(0, 99, 2) + write(0, 88, 1) + op("free", 0)
    assert [charged(used, profile, owner) for owner in (0, 1, 2)] == [0, 0, 0]


def test_a_second_write_may_keep_owner_and_charge() -> None:
    twice = malloc(0, SIZE, owner=1) + write(0, 0, 2)
    assert (owner_of(twice, ""), charged(twice, "", 1)) == (2, 0)
    assert (owner_of(twice, "rewrite=keep"), charged(twice, "rewrite=keep", 1)) == (1, CLASS)


def test_a_write_without_owner_may_keep_both() -> None:
    twice = malloc(0, SIZE, owner=1) + write(0, 0, 8)
    assert owner_of(twice, "") == NONE8
    assert owner_of(twice, "unowned-write=keep") == 1
    assert charged(twice, "unowned-write=keep") == CLASS


def test_the_same_owner_may_be_charged_anew() -> None:
    twice = malloc(0, SIZE, owner=1) + write(0, 1000, 1)
    assert charged(twice, "charge-unit=payload") == SIZE
    assert charged(twice, "charge-unit=payload,same-owner-write=recharge") == 1000


@pytest.mark.parametrize(
    ("profile", "owner", "bytes_"),
    [("", 0, 0), ("root-owner=ignore", NONE8, 0), ("root-owner=charge", 0, CLASS)],
)
def test_what_the_root_cgroup_is_to_an_object(profile: str, owner: int, bytes_: int) -> None:
    program = malloc(0, SIZE, owner=0)
    assert owner_of(program, profile) == owner
    assert charged(program, profile, 0) == bytes_


@pytest.mark.parametrize(("value", "left"), [("each", 3), ("one", 4), ("none", 5)])
def test_how_many_allocations_a_new_zspage_takes(value: str, left: int) -> None:
    # The handle, struct zspage and two pages; and two arrays, one, or none.
    program = op("fail_next", arg=9) + malloc(0, 2712)
    answer = Answer(program, by(f"array-allocations={value}", "zpdesc"))
    assert answer.last["faults"] == left


def test_the_second_page_of_an_object_may_have_no_entry() -> None:
    spanning = b"".join(malloc(n, 2712, owner=1) for n in range(2))
    assert Answer(spanning, by("", "zpdesc")).last["tail"] == 1
    assert Answer(spanning, by("span-entries=first", "zpdesc")).last["tail"] == NONE8


def test_all_pools_may_keep_owners() -> None:
    program = malloc(0, SIZE, owner=1, pool=1)
    assert owner_of(program, "") == NONE8
    assert owner_of(program, "pools=all") == 1


def test_rules_say_in_what_the_profile_differs() -> None:
    keep = parse_profile("rewrite=keep")
    assert rule_for("write", "owner", keep).text == (
        "the owner of the last write is in the entry; but this kernel keeps the first owner and "
        "its charge at a second write (profile rewrite=keep)"
    )
    assert "rewrite=keep" in rule_for("stat", "value", keep).text
    assert rule_for("malloc", "index", keep) == rule_for("malloc", "index")
    assert rule_for("write", "owner", Profile()) == rule_for("write", "owner")
