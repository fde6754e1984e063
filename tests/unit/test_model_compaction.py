# SPDX-License-Identifier: GPL-2.0-only
"""What compaction moves and frees: small programs, worked out by hand."""

from model_support import Answer, fill, free, malloc, op

from zsmodel import wire

TWO, THREE, SEVENTEEN, HUGE = 2040, 2712, 472, 4096  # bytes; objects in a zspage
COMPACT = op("compact")
NULL = wire.NONE8
THIRDS = fill(0, 12, THREE) + free(1, 2, 4, 5, 7, 8, 10, 11)  # o0, o3, o6, o9 in z0 to z3


def places(answer: Answer) -> dict[int, tuple[int, int]]:
    return {o["object"]: (o["zspage"], o["index"]) for o in answer.of(wire.SNAP_OBJECT)}


def test_half_full_zspages_are_joined_in_pairs() -> None:
    answer = Answer(fill(0, 8, TWO) + free(0, 2, 4, 6) + COMPACT)
    assert (answer.last["value"], answer.last["inuse"]) == (2, 2)
    assert places(answer) == {1: (1, 0), 3: (1, 1), 5: (3, 0), 7: (3, 1)}
    assert answer.lists == [(11, 1, 2), (11, 3, 2)]
    assert answer.of(wire.SNAP_POOL)[0]["compacted"] == 2


def test_a_target_stays_until_it_is_full() -> None:
    answer = Answer(THIRDS + COMPACT)
    assert (answer.last["value"], answer.last["inuse"]) == (4, 2)
    assert places(answer) == {0: (0, 0), 3: (3, 1), 6: (3, 2), 9: (3, 0)}
    assert answer.lists == [(4, 0, 1), (11, 3, 3)]


def test_slots_are_taken_in_the_order_of_the_targets_free_list() -> None:
    answer = Answer(fill(0, 6, THREE) + free(0, 2) + free(4) + COMPACT)
    # z0 has o1, free 2 then 0; z1 has o3 and o5.  z1 is the fullest: o1 goes to its slot 1.
    assert places(answer)[1] == (1, 1)
    answer = Answer(fill(0, 17 * 2, SEVENTEEN) + free(8, 3, 5) + free(*range(17, 31)) + COMPACT)
    # o31, o32, o33 are left in z1, at 14, 15, 16; the free list of z0 is 5, 3, 8.
    assert [places(answer)[o] for o in (31, 32, 33)] == [(0, 5), (0, 3), (0, 8)]


def test_owners_move_with_their_objects_and_charges_stay() -> None:
    program = b"".join(malloc(i, TWO, owner=1 + i % 3) for i in range(8)) + free(0, 2, 4, 6)
    before, after = Answer(program), Answer(program + COMPACT)
    assert before.charges == after.charges
    assert [z["owners"] for z in after.of(wire.SNAP_ZSPAGE)] == [[2, 1], [3, 2]]


def test_a_source_that_lost_objects_may_be_the_next_target() -> None:
    # 2 of 3 in each of three zspages: 3 unused slots make one zspage.
    answer = Answer(fill(0, 9, THREE) + free(0, 3, 6) + COMPACT)
    # Target z2 takes o4 from z1 and is full; then target z0 (fullest), source z1: empty.
    assert (answer.last["inuse"], answer.last["value"]) == (2, 2)
    assert places(answer)[4] == (2, 0)
    assert places(answer)[5] == (0, 0)
    assert answer.lists == [(11, 0, 3), (11, 2, 3)]


def test_nothing_moves_while_the_unused_slots_make_no_zspage() -> None:
    program = fill(0, 6, THREE) + free(0, 3)
    assert Answer(program + COMPACT).snapshot == Answer(program).snapshot


def test_huge_objects_are_never_moved() -> None:
    program = fill(0, 4, HUGE) + free(1)
    assert Answer(program + COMPACT).snapshot == Answer(program).snapshot


def test_a_reader_of_the_source_ends_it_for_the_class() -> None:
    # The source after z3 (target) is z2; the reader is in z1.
    answer = Answer(THIRDS + op("read_lock", 3) + COMPACT)
    assert (answer.last["value"], answer.last["inuse"]) == (2, 1)
    assert answer.lists == [(4, 1, 1), (4, 0, 1), (7, 3, 2)]


def test_a_reader_of_the_first_source_leaves_the_order_as_it_was() -> None:
    program = THIRDS + op("read_lock", 6)
    answer = Answer(program + COMPACT)
    assert (answer.last["value"], answer.last["inuse"]) == (0, 0)
    assert answer.snapshot == Answer(program).snapshot


def test_a_reader_of_the_target_does_not_matter() -> None:
    answer = Answer(THIRDS + op("read_lock", 9) + COMPACT)
    assert (answer.last["value"], answer.last["inuse"]) == (4, 2)


def test_another_class_is_compacted_although_one_has_a_reader() -> None:
    halves = fill(20, 4, TWO) + free(20, 22)
    answer = Answer(THIRDS + halves + op("read_lock", 6) + COMPACT)
    assert (answer.last["value"], answer.last["inuse"]) == (1, 1)


def test_a_locked_source_is_counted_although_its_freeing_is_deferred() -> None:
    program = fill(0, 4, TWO) + free(0, 2) + op("lock_page", 1) + COMPACT
    answer = Answer(program)
    # Target z1 takes o1 from z0, whose page is locked.
    assert (answer.last["value"], answer.last["inuse"]) == (1, 1)
    assert answer.lists == [(0, 0, 0), (11, 1, 2)]
    assert answer.of(wire.SNAP_POOL)[0] == {
        "kind": 1,
        "pool": 0,
        "aware": 1,
        "pad": 0,
        "pages": 2,
        "compacted": 1,
    }
    assert answer.of(wire.SNAP_CLASS)[0]["allocated"] == 4


def test_while_a_deferred_zspage_is_counted_objects_are_moved_for_nothing() -> None:
    # z0 deferred: three unused slots.  z1 and z2 have 2 of 3 each, so the loop goes on.
    program = fill(0, 9, THREE, owner=1) + op("lock_page", 0) + free(0, 1, 2, 3, 6) + COMPACT
    answer = Answer(program)
    assert (answer.last["value"], answer.last["inuse"]) == (0, 1)
    assert answer.lists == [(0, 0, 0), (4, 1, 1), (11, 2, 3)]
    left = answer.of(wire.SNAP_ZSPAGE)[1]  # slot 0 was freed, then slot 1 was left
    assert (left["free"], left["owners"]) == ([1, 0], [NULL, NULL, 1])


def test_the_shrinker_says_what_it_could_free_and_then_compacts() -> None:
    answer = Answer(fill(0, 4, TWO) + free(0, 2) + op("shrink") + op("shrink"))
    assert [(r["tags"], r["value"], r["inuse"]) for r in answer.results[-2:]] == [
        (1, 1, 1),
        (0, wire.NONE16, 0),
    ]
    assert answer.of(wire.SNAP_POOL)[0]["compacted"] == 1


def test_only_the_named_pool_is_compacted() -> None:
    answer = Answer(fill(0, 4, TWO, pool=1) + free(0, 2) + COMPACT + op("compact", pool=1))
    assert [r["value"] for r in answer.results[-2:]] == [0, 1]
