# SPDX-License-Identifier: GPL-2.0-only
"""Few sets are chosen that reach all that many reach."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from zsfuzz.corpus.cover import choose, union


def test_what_reaches_all_by_itself_is_enough() -> None:
    assert choose({"a": 0b0011, "b": 0b1111, "c": 0b1100}) == ["b"]


def test_what_was_reached_before_needs_nobody() -> None:
    assert choose({"a": 0b0011, "b": 0b1100}, reached=0b0111) == ["b"]
    assert choose({"a": 0b0011}, reached=0b1111) == []


def test_of_equals_the_first_is_chosen() -> None:
    assert choose({"a": 0b11, "b": 0b11}) == ["a"]


def test_nothing_reaches_nothing() -> None:
    assert choose({}) == []
    assert choose({"a": 0}) == []


def test_what_later_choices_make_needless_is_dropped() -> None:
    # The greedy choice is "a", which "b" and "c" together make needless.
    sets = {"a": 0b011110, "b": 0b000111, "c": 0b111000}
    assert sorted(choose(sets)) == ["b", "c"]


@pytest.mark.parametrize("seed", range(20))
def test_all_is_reached_and_nobody_is_needless(seed: int) -> None:
    rng = random.Random(seed)
    sets = {n: rng.getrandbits(40) & rng.getrandbits(40) for n in range(30)}
    chosen = choose(sets)
    whole = union(sets.values())
    assert union(sets[n] for n in chosen) == whole
    for fewer in combinations(chosen, len(chosen) - 1):
        assert union(sets[n] for n in fewer) != whole
    assert choose(sets) == chosen
