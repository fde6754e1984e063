# SPDX-License-Identifier: GPL-2.0-only
"""Where objects go: small programs, worked out by hand."""

from struct import pack

from model_support import NOTHING, STOCK, Answer, fill, free, malloc, op

from zsmodel import Model, wire

TWO, THREE, SEVENTEEN, HUGE = 2040, 2712, 472, 4096  # bytes; objects in a zspage
NULL = wire.NONE8


def test_every_byte_of_a_small_answer() -> None:
    expected = pack("<hHBBBBBBHHHHH", 0, 0, 168, 0, 1, NULL, 4, 0, 1, 0, 2, 0xFFFF, 2)
    expected += pack("<BBBBHH", 1, 0, 1, 0, 2, 0)  # p0: aware, 2 pages
    expected += pack("<BBHHH", 2, 168, 0, 3, 1)  # 3 objects, 1 in use
    expected += pack("<BBHHHHBB", 3, 4, 0, 1, 2, 3, 2, 0) + bytes([1, 2, 0, 0, 1, 255, 255, 0])
    expected += pack("<BBBBHH", 1, 1, 0, 0, 0, 0)
    expected += pack("<BBBBHH", 4, 0, 0, 3, 0, 2712)
    expected += pack("<BBHIHH", 5, 1, 1, 2720, 0, 0xFFFF)
    expected += b"".join(pack("<BBHIHH", 5, c, 0, 0, 0, 0xFFFF) for c in range(2, 7))
    expected += pack("<BBHI", 6, 0, 0, 0)
    expected += bytes(-len(expected) % 8)
    assert Answer(malloc(0, THREE, owner=1, pattern=3)).data == expected


def test_a_stock_kernel_keeps_no_owner() -> None:
    answer = Answer(malloc(0, THREE, owner=1, pattern=3), Model(STOCK))
    assert answer.last["owner"] == NULL
    assert [pool["aware"] for pool in answer.of(wire.SNAP_POOL)] == [0, 0]
    assert answer.of(wire.SNAP_ZSPAGE)[0]["owner_bytes"] == 0
    assert answer.of(wire.SNAP_OBJECT)[0]["length"] == THREE


def test_a_fresh_zspage_hands_out_its_slots_in_order_then_comes_another() -> None:
    answer = Answer(fill(0, 4, THREE))
    assert [(r["zspage"], r["index"]) for r in answer.results] == [(0, 0), (0, 1), (0, 2), (1, 0)]
    assert [(r["group"], r["inuse"]) for r in answer.results] == [(4, 1), (7, 2), (11, 3), (4, 1)]
    assert [r["value"] for r in answer.results] == [2, 2, 2, 4]


def test_the_slot_freed_last_is_handed_out_first() -> None:
    answer = Answer(fill(0, 17, SEVENTEEN) + free(3, 9, 5) + fill(20, 2, SEVENTEEN))
    assert [r["index"] for r in answer.results[-2:]] == [5, 9]
    assert answer.of(wire.SNAP_ZSPAGE)[0]["free"] == [3]


def test_freeing_the_last_object_frees_the_zspage() -> None:
    answer = Answer(malloc(0, HUGE) + free(0))
    expected = NOTHING | {"zspage": 0, "class": 254, "index": 0, "value": 0}
    assert answer.last == expected
    assert not answer.of(wire.SNAP_CLASS)


def test_a_new_zspage_never_takes_an_old_number() -> None:
    answer = Answer((malloc(0, HUGE) + free(0)) * 3)
    assert [r["zspage"] for r in answer.results] == [0, 0, 1, 1, 2, 2]


def test_malloc_prefers_the_fullest_zspage() -> None:
    half, more = free(*range(9)), free(*range(17, 20))  # z0: 8 of 17, z1: 14 of 17
    answer = Answer(fill(0, 34, SEVENTEEN) + half + more + malloc(0, SEVENTEEN))
    assert (answer.last["zspage"], answer.last["group"]) == (1, 9)


def test_the_zspage_that_entered_its_group_last_is_at_the_head() -> None:
    answer = Answer(fill(0, 6, TWO) + free(2, 0, 4) + malloc(9, TWO))
    assert answer.last["zspage"] == 2
    assert answer.lists == [(6, 0, 1), (6, 1, 1), (11, 2, 2)]


def test_a_zspage_whose_group_does_not_change_keeps_its_place() -> None:
    program = fill(0, 34, SEVENTEEN) + free(*range(14)) + free(*range(17, 31))
    assert Answer(program).lists == [(2, 1, 3), (2, 0, 3)]
    assert Answer(program + free(14)).lists == [(2, 1, 3), (2, 0, 2)]


def test_requests_that_are_merged_share_a_class() -> None:
    answer = Answer(malloc(0, 3257) + malloc(1, 3400) + malloc(2, 3401))  # 3401: class 3504
    assert [r["class"] for r in answer.results] == [211, 211, 217]
    assert [r["zspage"] for r in answer.results] == [0, 0, 1]


def test_pools_do_not_share_zspages() -> None:
    answer = Answer(malloc(0, THREE, pool=0) + malloc(1, THREE, pool=1))
    assert [r["zspage"] for r in answer.results] == [0, 1]
    assert [pool["pages"] for pool in answer.of(wire.SNAP_POOL)] == [2, 2]


def test_contents_are_what_was_written_last() -> None:
    program = malloc(0, 100) + op("read", 0) + op("write", 0, size=40, arg=21) + op("read", 0)
    answer = Answer(program + op("write", 0, arg=2) + op("read", 0, arg=1))
    assert [answer.results[i]["value"] for i in (1, 3, 5)] == [0, 5, 2]
    assert answer.of(wire.SNAP_OBJECT)[0]["length"] == 100


def test_page_migration_changes_nothing() -> None:
    program = fill(0, 5, THREE, owner=1) + free(1)
    moved = Answer(program + op("migrate", 0, arg=1))
    assert moved.last["ret"] == 0
    assert moved.snapshot == Answer(program).snapshot
