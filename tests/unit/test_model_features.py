# SPDX-License-Identifier: GPL-2.0-only
"""Model-state coverage: new kinds of situations set new bytes."""

import pytest
from model_support import STOCK, ZSPAGE, fill, free, malloc, op, random_program

from zsmodel import Model
from zsmodel.features import SITUATIONS

TWO, THREE, HUGE = 2040, 2712, 4096  # bytes; objects in a zspage


def seen(program: bytes) -> set[int]:
    """The situations that a program shows."""
    features = bytearray(SITUATIONS)
    Model(ZSPAGE, features).run(program)
    return {number for number, byte in enumerate(features) if byte}


DIFFERENT = [
    (malloc(0, TWO), malloc(0, THREE)),  # kind of class
    (malloc(0, HUGE), fill(0, 2, TWO)),
    (malloc(0, THREE), fill(0, 2, THREE)),  # group
    (malloc(0, THREE), malloc(0, THREE, owner=1)),  # owners
    (fill(0, 2, THREE, owner=1), malloc(0, THREE, owner=1) + malloc(1, THREE)),
    (fill(0, 2, THREE, owner=1), malloc(0, THREE, owner=1) + malloc(1, THREE, owner=2)),
    (malloc(0, THREE), malloc(0, THREE, pool=1)),  # awareness
    (malloc(0, THREE), malloc(0, THREE) + op("lock_page", 0)),  # locks
    (malloc(0, THREE) + op("read_lock", 0), malloc(0, THREE) + op("lock_page", 0)),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_situations_are_told_apart(one: bytes, other: bytes) -> None:
    assert seen(one)
    assert seen(one) != seen(other)


def test_which_owner_and_which_object_does_not_matter() -> None:
    assert seen(malloc(0, THREE, owner=1)) == seen(malloc(9, THREE, owner=5))


def test_situations_in_the_middle_of_a_program_count_at_compaction() -> None:
    program = fill(0, 4, TWO) + free(0, 2)
    assert seen(program + free(1, 3)) == set()
    assert seen(program) <= seen(program + op("compact") + free(1, 3))


def test_features_change_no_answer_and_only_grow() -> None:
    features = bytearray(SITUATIONS)
    model, plain = Model(ZSPAGE, features), Model(ZSPAGE)
    before = bytes(features)
    for seed in range(50):
        program = random_program(seed)
        assert model.run(program) == plain.run(program)
        assert all(new >= old for new, old in zip(features, before, strict=True))
        before = bytes(features)
    assert sum(features) > 50


def test_a_memoryview_will_do_and_another_size_will_not() -> None:
    Model(STOCK, memoryview(bytearray(SITUATIONS))).run(malloc(0, 1))
    with pytest.raises(ValueError, match="4095 bytes"):
        Model(STOCK, bytearray(SITUATIONS - 1))
