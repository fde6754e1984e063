# SPDX-License-Identifier: GPL-2.0-only
"""What each ownership design promises, and what all of them have in common."""

import pytest
from model_support import STOCK, ZPDESC, ZSPAGE, Answer, fill, free, malloc, op, random_program

from zsmodel import Kernel, Model, classes, wire
from zsmodel.design import OBJEXTS, POINTER
from zsmodel.designs import DESIGNS, design_by_number
from zsmodel.designs.zpdesc import on_page

SHAPES = classes.distinct_classes(ZPDESC)
SPANNING = 2712  # payload; 3 objects in 2 pages, object 1 lies in both
NULL = wire.NONE8
TAGGED = POINTER | OBJEXTS


def test_designs_are_found_by_name_and_by_number() -> None:
    assert list(DESIGNS) == ["stock", "zspage", "zpdesc"]
    assert [design_by_number(n).name for n in range(3)] == list(DESIGNS)
    with pytest.raises(ValueError, match="design number 9 has no model"):
        design_by_number(9)
    with pytest.raises(ValueError, match="'folio' has no model"):
        Kernel("folio")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.size))
def test_no_page_has_more_objects_than_its_array_has_entries(shape: classes.ClassShape) -> None:
    pages = [on_page(shape, page) for page in range(shape.pages)]
    assert max(map(len, pages)) <= shape.page_size // shape.size + 2
    for index in range(shape.objs):
        assert sum(index in page for page in pages) == 1 + shape.spans(index)


def test_some_class_needs_every_entry() -> None:
    needed = [max(len(on_page(s, p)) for p in range(s.pages)) - 4096 // s.size for s in SHAPES]
    assert max(needed) == 2


def test_an_object_in_two_pages_has_an_entry_in_both() -> None:
    answer = Answer(fill(0, 3, SPANNING, owner=1), Model(ZPDESC))
    assert [r["tail"] for r in answer.results] == [NULL, 1, NULL]
    (zspage,) = answer.of(wire.SNAP_ZSPAGE)
    assert zspage["owners"] == [1, 1, 1, 1]  # objects 0 and 1 in page 0, 1 and 2 in page 1
    freed = Answer(fill(0, 3, SPANNING, owner=1) + free(1), Model(ZPDESC))
    assert freed.last["tail"] == 1
    assert freed.of(wire.SNAP_ZSPAGE)[0]["owners"] == [1, NULL, NULL, 1]


@pytest.mark.parametrize(
    ("kernel", "states", "tags", "bits"),
    [(STOCK, [0, 0], 0, 0), (ZSPAGE, [0, 0], 0, 0), (ZPDESC, [TAGGED] * 2, 3, 0x11)],
    ids=lambda value: getattr(value, "design", None),
)
def test_memcg_data_is_what_the_design_says(
    kernel: Kernel, states: list[int], tags: int, bits: int
) -> None:
    aware, other = malloc(0, SPANNING, owner=1), malloc(1, SPANNING, owner=1, pool=1)
    answer = Answer(aware + other, Model(kernel))
    assert [(r["tags"], r["tag_bits"]) for r in answer.results] == [(tags, bits), (0, 0)]
    assert [z["page_states"] for z in answer.of(wire.SNAP_ZSPAGE)] == [states, [0, 0]]
    assert [z["owner_bytes"] > 0 for z in answer.of(wire.SNAP_ZSPAGE)][1] is False


def test_a_zspage_that_is_gone_has_no_tags() -> None:
    answer = Answer(malloc(0, SPANNING, owner=1) + free(0), Model(ZPDESC))
    assert (answer.last["tags"], answer.last["tag_bits"]) == (0, 0)


@pytest.mark.parametrize(("kernel", "arrays"), [(STOCK, 0), (ZSPAGE, 1), (ZPDESC, 2)])
def test_owner_arrays_are_allocations_that_can_fail(kernel: Kernel, arrays: int) -> None:
    needed = 4 + arrays  # the handle, struct zspage, two pages
    for nth, ret in ((needed, -12), (needed + 1, 0)):
        program = op("fail_next", arg=nth) + malloc(0, SPANNING, owner=1)
        assert Answer(program, Model(kernel)).last["ret"] == ret


@pytest.mark.parametrize("seed", range(40))
def test_both_designs_end_with_the_same_owners_and_charges(seed: int) -> None:
    program = random_program(seed, 150, without=("fail_next",))
    one, other = Answer(program, Model(ZSPAGE)), Answer(program, Model(ZPDESC))
    assert one.charges == other.charges
    assert one.lists == other.lists
    assert one.of(wire.SNAP_OBJECT) == other.of(wire.SNAP_OBJECT)
    ours = [(r["ret"], r["owner"], r["zspages"]) for r in one.results]
    assert ours == [(r["ret"], r["owner"], r["zspages"]) for r in other.results]


# ---- limits and the classes file ------------------------------------------------------------


def test_a_limit_counts_bytes_of_classes_in_whole_pages() -> None:
    limit = op("zswap_max", owner=1, arg=1) + malloc(0, SPANNING, owner=3)  # c3 is in c1
    below, at = op("may_zswap", owner=3), malloc(1, 1352, owner=1) + op("may_zswap", owner=3)
    answer = Answer(limit + below + at + op("may_zswap", owner=2))
    assert [answer.results[i]["value"] for i in (2, 4, 5)] == [1, 1, 1]  # 4,080 bytes
    answer = Answer(limit + at + malloc(2, 24, owner=4) + below)
    assert answer.last["value"] == 0  # 4,112 bytes


def test_a_limit_of_zero_and_none_need_no_charge() -> None:
    answer = Answer(op("zswap_max", owner=2) + op("may_zswap", owner=5) + op("may_zswap", owner=0))
    assert [r["value"] for r in answer.results[1:]] == [0, 1]
    assert {c["cgroup"]: c["zswap_max"] for c in answer.of(wire.SNAP_CGROUP)}[2] == 0


def test_limits_do_not_outlive_the_program() -> None:
    model = Model(ZSPAGE)
    Answer(op("zswap_max", owner=2), model)
    assert Answer(op("may_zswap", owner=2), model).last["value"] == 1


def test_the_classes_file_is_shown_when_it_was_read() -> None:
    program = fill(0, 2, SPANNING) + malloc(5, 4096) + op("lock_page", 5) + free(5)
    assert not Answer(program).of(wire.SNAP_ROW)
    read = Answer(program + op("classes") + op("flush"))
    last = read.results[-2]
    assert (last["value"], last["inuse"], last["tags"]) == (3, 2, 1)
    row, totals = read.of(wire.SNAP_ROW)
    assert (row["class"], row["size"], row["g70"], row["allocated"]) == (168, 2720, 1, 3)
    assert (totals["class"], totals["pages"], totals["chain"]) == (NULL, 2, 0)
