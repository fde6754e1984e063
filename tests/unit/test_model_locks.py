# SPDX-License-Identifier: GPL-2.0-only
"""What held pages and readers put off, and what flush then does."""

from model_support import NOTHING, Answer, fill, free, malloc, op

from zsmodel import wire

THREE = 2712  # bytes; two pages, three objects
HELD = fill(0, 3, THREE) + op("lock_page", 0, arg=1)


def test_a_zspage_with_a_locked_page_stays_in_group_0() -> None:
    answer = Answer(HELD + free(0, 2, 1))
    assert (answer.last["group"], answer.last["inuse"], answer.last["value"]) == (0, 0, 2)
    zspage = answer.of(wire.SNAP_ZSPAGE)[0]
    assert (zspage["group"], zspage["free"]) == (0, [1, 2, 0])
    assert answer.of(wire.SNAP_CLASS)[0]["allocated"] == 3
    assert not answer.of(wire.SNAP_OBJECT)


def test_malloc_takes_a_zspage_in_group_0_up_again() -> None:
    answer = Answer(HELD + free(0, 2, 1) + malloc(9, THREE))
    assert (answer.last["zspage"], answer.last["index"], answer.last["group"]) == (0, 1, 4)


def test_malloc_prefers_any_other_zspage_to_group_0() -> None:
    answer = Answer(HELD + malloc(3, THREE) + free(0, 2, 1) + malloc(9, THREE))
    assert (answer.last["zspage"], answer.last["index"]) == (1, 1)


def test_flush_runs_the_deferred_frees_of_its_pool_only() -> None:
    freed = HELD + free(0, 2, 1)
    assert Answer(freed + op("flush")).last == NOTHING | {"value": 0}
    assert Answer(freed + op("flush", pool=1)).last == NOTHING | {"value": 0, "zspages": 2}
    assert Answer(freed + op("flush", pool=1)).of(wire.SNAP_POOL)[0]["pages"] == 2


def test_after_a_flush_the_page_can_be_locked_and_the_object_freed() -> None:
    answer = Answer(HELD + op("flush") + op("lock_page", 0, arg=1) + op("flush") + free(0, 1, 2))
    assert answer.rets[-5:] == [0] * 5
    assert answer.last["value"] == 0


def test_a_zspage_taken_up_again_is_not_freed_by_flush() -> None:
    answer = Answer(HELD + free(0, 2, 1) + malloc(9, THREE) + op("flush"))
    assert answer.last["value"] == 2
    assert answer.lists == [(4, 0, 1)]


def test_flush_lets_readers_go() -> None:
    program = fill(0, 2, THREE) + op("read_lock", 0) + op("read_lock", 1)
    answer = Answer(program + op("flush") + op("migrate", 0) + free(0, 1))
    assert answer.rets[-4:] == [0] * 4


def test_another_object_of_a_read_locked_zspage_can_be_freed_and_written() -> None:
    program = fill(0, 2, THREE) + op("read_lock", 0) + op("write", 1, owner=1) + op("read", 0)
    answer = Answer(program + free(1))
    assert not any(answer.rets)


def test_two_readers_are_two() -> None:
    program = fill(0, 2, THREE) + op("read_lock", 0) + op("read_lock", 1)
    assert not any(Answer(program).rets)


def test_a_lock_stays_with_its_zspage_when_the_object_moves() -> None:
    program = fill(0, 4, 2040) + op("lock_page", 1) + free(0, 2) + op("compact")
    answer = Answer(program + op("lock_page", 1))
    assert (answer.last["ret"], answer.last["zspage"]) == (0, 1)
