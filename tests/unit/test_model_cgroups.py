# SPDX-License-Identifier: GPL-2.0-only
"""Who owns an object and who is charged for it."""

from errno import EBUSY

from model_support import STOCK, Answer, fill, free, malloc, op

from zsmodel import Model, wire

THREE = 2712  # bytes; class 2720
ONE, TWO = (2720, 1), (5440, 2)
NONE = (0, 0)


def test_a_charge_is_the_classs_size_whatever_was_asked_for() -> None:
    answer = Answer(malloc(0, 3300, owner=2))
    assert answer.charges[2] == (3408, 1)


def test_charges_count_in_every_ancestor() -> None:
    answer = Answer(malloc(0, THREE, owner=4) + malloc(1, THREE, owner=3) + op("stat", owner=0))
    assert answer.charges == {1: TWO, 2: NONE, 3: TWO, 4: ONE, 5: NONE, 6: NONE}
    assert (answer.last["value"], answer.last["inuse"], answer.last["tags"]) == (5440, 2, 0)


def test_stat_splits_the_bytes_at_16_bits() -> None:
    program = b"".join(malloc(i, 4096, owner=1) for i in range(17)) + op("stat", owner=1)
    assert (Answer(program).last["tags"], Answer(program).last["value"]) == (1, 4096)


def test_malloc_alone_sets_no_owner() -> None:
    answer = Answer(malloc(0, THREE, owner=1) + free(0) + malloc(0, THREE))
    assert answer.last["owner"] == wire.NONE8
    assert answer.charges[1] == NONE


def test_free_answers_the_owner_that_it_cleared() -> None:
    answer = Answer(malloc(0, THREE, owner=1) + malloc(1, THREE) + free(0))
    assert (answer.last["owner"], answer.last["inuse"], answer.last["group"]) == (1, 1, 4)
    assert answer.of(wire.SNAP_ZSPAGE)[0]["owners"] == [wire.NONE8] * 3
    assert answer.charges[1] == NONE


def test_a_second_write_moves_the_charge() -> None:
    program = malloc(0, THREE, owner=1) + op("write", 0, owner=2)
    assert Answer(program).last["owner"] == 2
    assert Answer(program).charges | {1: NONE, 2: ONE} == Answer(program).charges
    again = Answer(program + op("write", 0, owner=2, size=1))
    assert again.charges[2] == ONE


def test_a_write_without_owner_empties_the_entry() -> None:
    answer = Answer(malloc(0, THREE, owner=1) + op("write", 0))
    assert answer.last["owner"] == wire.NONE8
    assert answer.charges[1] == NONE


def test_the_root_is_stored_but_never_charged() -> None:
    answer = Answer(malloc(0, THREE, owner=0) + op("stat", owner=0))
    assert answer.results[0]["owner"] == 0
    assert answer.of(wire.SNAP_ZSPAGE)[0]["owners"][0] == 0
    assert (answer.last["value"], answer.last["inuse"]) == NONE
    moved = Answer(malloc(0, THREE, owner=1) + op("write", 0, owner=0) + free(0))
    assert moved.charges[1] == NONE


def test_a_pool_that_is_not_aware_keeps_no_owner() -> None:
    answer = Answer(malloc(0, THREE, owner=1, pool=1))
    assert answer.last["owner"] == wire.NONE8
    assert answer.of(wire.SNAP_ZSPAGE)[0]["owner_bytes"] == 0
    assert answer.charges[1] == NONE


def test_a_removed_cgroups_charges_are_its_parents() -> None:
    program = (
        malloc(0, THREE, owner=4) + op("cgroup_remove", owner=4) + op("cgroup_remove", owner=3)
    )
    answer = Answer(program)
    assert answer.charges == {1: ONE, 2: NONE, 5: NONE, 6: NONE}
    assert answer.of(wire.SNAP_ZSPAGE)[0]["owners"][0] == 4
    freed = Answer(program + free(0))
    assert freed.last["owner"] == 4
    assert freed.charges[1] == NONE


def test_a_new_cgroup_of_the_same_number_has_none_of_the_old_charges() -> None:
    program = malloc(0, THREE, owner=4) + op("cgroup_remove", owner=4)
    program += op("cgroup_create", owner=4, arg=2) + malloc(1, THREE, owner=4)
    answer = Answer(program)
    assert answer.charges == {1: ONE, 2: ONE, 3: ONE, 4: ONE, 5: NONE, 6: NONE}
    assert answer.of(wire.SNAP_ZSPAGE)[0]["owners"] == [4, 4, wire.NONE8]
    assert Answer(program + free(0)).charges[3] == NONE


def test_charges_of_a_removed_top_cgroup_are_the_common_parents() -> None:
    remove = b"".join(op("cgroup_remove", owner=c) for c in (4, 3, 1))
    answer = Answer(malloc(0, THREE, owner=4) + remove + op("stat", owner=0))
    assert set(answer.charges.values()) == {NONE}
    assert answer.last["value"] == 2720


def test_a_cgroup_created_in_itself_is_in_the_common_parent() -> None:
    program = op("cgroup_create", owner=7, arg=7) + malloc(0, THREE, owner=7)
    answer = Answer(program)
    assert answer.charges == dict.fromkeys(range(1, 7), NONE) | {7: ONE}


def test_a_cgroup_with_a_new_child_cannot_be_removed() -> None:
    program = op("cgroup_create", owner=7, arg=4) + op("cgroup_remove", owner=4)
    program += op("cgroup_remove", owner=7) + op("cgroup_remove", owner=4)
    assert Answer(program).rets == [0, -EBUSY, 0, 0]


def test_the_next_program_finds_the_first_tree_again() -> None:
    model = Model(STOCK)
    before = model.run(b"")
    model.run(op("cgroup_remove", owner=4) + op("cgroup_create", owner=7, arg=1) + fill(0, 3, 9))
    assert model.run(b"") == before


def test_a_stock_kernel_charges_nothing() -> None:
    answer = Answer(malloc(0, THREE, owner=1), Model(STOCK))
    assert answer.charges[1] == NONE
