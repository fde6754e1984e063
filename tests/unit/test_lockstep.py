# SPDX-License-Identifier: GPL-2.0-only
"""What is taken from the kernel's answer when an allocation was made to fail."""

from answers import KERNEL, answer_to

from zsfuzz.lockstep import kernel_words
from zsmodel import Model


def test_the_words_are_errno_and_faults_of_armed_operations() -> None:
    program, answer = answer_to(
        "fail_next(nth=9)\no0 = malloc(p0, size=4096)\nfail_next(nth=1)\no1 = malloc(p0, size=4096)"
    )
    # The handle, struct zspage, its owners and one page: 4 allocations, then one more handle.
    assert kernel_words(program.wire, answer) == {1: (0, 5), 3: (-12, 0)}


def test_the_model_follows_a_word_that_slab_can_explain() -> None:
    program, expected = answer_to("fail_next(nth=9)\no0 = malloc(p0, size=64)")
    failed = Model(KERNEL).run(program.wire, {1: (-12, 0)})
    assert failed != expected
    assert kernel_words(program.wire, failed) == {1: (-12, 0)}
