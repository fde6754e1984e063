# SPDX-License-Identifier: GPL-2.0-only
"""What an armed operation answers, and when the kernel's word is taken."""

from errno import EEXIST, EINVAL, ENOMEM

import pytest
from model_support import NOTHING, ZSPAGE, Answer, malloc, op

from zsmodel import Model
from zsmodel.faults import Outcome, believe

THREE = 2712  # two pages; handle, zspage, owners, page, page: five allocations
NONE = 0xFFFF


def armed(nth: int, program: bytes) -> bytes:
    return op("fail_next", arg=nth) + program


@pytest.mark.parametrize("nth", range(1, 6))
def test_each_allocation_of_a_new_zspage_can_fail(nth: int) -> None:
    answer = Answer(armed(nth, malloc(0, THREE, owner=1)))
    assert answer.last == NOTHING | {"ret": -ENOMEM, "faults": 0}
    assert answer.snapshot == Answer(b"").snapshot


@pytest.mark.parametrize(("pool", "needed"), [(0, 5), (1, 4)])
def test_a_fault_beyond_the_last_allocation_is_left(pool: int, needed: int) -> None:
    answer = Answer(armed(needed + 1, malloc(0, THREE, pool=pool)))
    assert (answer.last["ret"], answer.last["faults"]) == (0, 1)


def test_an_object_in_an_existing_zspage_needs_a_handle_only() -> None:
    assert Answer(malloc(0, THREE) + armed(1, malloc(1, THREE))).last["ret"] == -ENOMEM
    assert Answer(malloc(0, THREE) + armed(2, malloc(1, THREE))).last["faults"] == 1


def test_a_failed_malloc_takes_no_zspage_number_and_no_slot() -> None:
    answer = Answer(armed(4, malloc(0, THREE)) + malloc(0, THREE))
    assert (answer.last["zspage"], answer.last["index"], answer.last["faults"]) == (0, 0, NONE)


@pytest.mark.parametrize(
    ("program", "ret"),
    [
        (malloc(0, 1), -EEXIST),
        (malloc(1, 0), -EINVAL),
        (op("write", 0, owner=1), 0),
        (op("migrate", 0), 0),
        (op("free", 0), 0),
        (op("compact"), 0),
    ],
)
def test_operations_that_allocate_nothing_leave_the_fault(program: bytes, ret: int) -> None:
    answer = Answer(malloc(0, THREE) + armed(3, program))
    assert (answer.last["ret"], answer.last["faults"]) == (ret, 3)


def test_only_the_next_operation_is_armed() -> None:
    answer = Answer(armed(1, op("compact")) + malloc(0, THREE))
    assert (answer.last["ret"], answer.last["faults"]) == (0, NONE)


def test_fail_next_after_fail_next_reports_the_first_and_arms_the_second() -> None:
    answer = Answer(armed(5, armed(1, malloc(0, 1))))
    assert [r["faults"] for r in answer.results] == [NONE, 5, 0]
    assert answer.last["ret"] == -ENOMEM


@pytest.mark.parametrize("arg", [0, 256])
def test_fail_next_0_arms_nothing(arg: int) -> None:
    answer = Answer(armed(arg, malloc(0, 1)))
    assert answer.results[0] == NOTHING | {"value": 0}
    assert (answer.last["ret"], answer.last["faults"]) == (0, NONE)


@pytest.mark.parametrize(
    ("nth", "word", "outcome"),
    [
        (9, None, Outcome(0, 4)),
        (9, (0, 4), Outcome(0, 4)),
        (9, (0, 3), Outcome(0, 3, "slab_allocated")),
        (9, (0, 0), Outcome(0, 0, "slab_survived")),
        (9, (-ENOMEM, 0), Outcome(-ENOMEM, 0, "slab_failed")),
        (9, (0, 5), Outcome(0, 4)),  # fewer allocations than there must be
        (9, (-ENOMEM, 2), Outcome(0, 4)),  # failed without the fault
        (5, (-ENOMEM, 0), Outcome(-ENOMEM, 0)),
        (5, (0, 0), Outcome(0, 0, "slab_survived")),
        (1, (0, 0), Outcome(-ENOMEM, 0)),  # the first allocation is the handle itself
        (5, (0, 1), Outcome(-ENOMEM, 0)),
        (5, (-EINVAL, 0), Outcome(-ENOMEM, 0)),
    ],
)
def test_which_words_of_the_kernel_are_believed(
    nth: int, word: tuple[int, int] | None, outcome: Outcome
) -> None:
    assert believe(nth, 5, word) == outcome


def test_the_model_goes_on_from_the_kernels_word_and_counts_it() -> None:
    model = Model(ZSPAGE)
    program = armed(9, malloc(0, THREE)) + malloc(1, THREE)
    answer = Answer(program, model, words={1: (-ENOMEM, 0)})
    assert [r["ret"] for r in answer.results] == [0, -ENOMEM, 0]
    assert answer.last["zspage"] == 0
    assert model.tolerated == {"slab_failed": 1}
    Answer(program, model, words={1: (0, 2)})
    assert model.tolerated == {"slab_failed": 1, "slab_allocated": 1}


def test_words_about_operations_that_are_not_armed_are_not_heard() -> None:
    model = Model(ZSPAGE)
    assert model.run(malloc(0, 9), words={0: (-ENOMEM, 0)}) == Model(ZSPAGE).run(malloc(0, 9))
    migrate = malloc(0, 9) + armed(2, op("migrate", 0))
    assert Answer(migrate, model, words={2: (-ENOMEM, 0)}).last["faults"] == 2
    assert not model.tolerated
