# SPDX-License-Identifier: GPL-2.0-only
"""Size classes as a kernel with 4 KiB pages has them."""

import pytest

from zsmodel import Kernel, classes


def kernel(chain: int = 8, page_size: int = 4096) -> Kernel:
    return Kernel("stock", page_size=page_size, chain_size=chain)


@pytest.mark.parametrize(
    ("chain", "distinct", "spanning", "huge"),
    [(4, 69, 49, 3257), (8, 119, 105, 3625), (16, 192, 181, 3833)],
)
def test_number_of_classes_by_chain_size(
    chain: int, distinct: int, spanning: int, huge: int
) -> None:
    found = classes.distinct_classes(kernel(chain))
    assert len(found) == distinct
    assert sum(any(c.spans(i) for i in range(c.objs)) for c in found) == spanning
    assert classes.huge_class_size(kernel(chain)) == huge
    assert max(c.objs for c in found) == 256


def test_a_pool_has_255_entries_of_which_the_last_is_a_page() -> None:
    slots = classes.build_slots(kernel())
    assert (len(slots), slots[0].size, slots[-1].size, slots[-1].huge) == (255, 32, 4096, True)


@pytest.mark.parametrize(
    ("payload", "size", "pages", "objs"),
    [
        (1, 32, 1, 128),
        (24, 32, 1, 128),
        (25, 48, 3, 256),
        (472, 480, 2, 17),
        (1352, 1360, 1, 3),
        (2040, 2048, 1, 2),
        (2712, 2720, 2, 3),
        (3257, 3408, 5, 6),
        (3400, 3408, 5, 6),
        (3624, 3632, 8, 9),
        (3625, 4096, 1, 1),
        (4089, 4096, 1, 1),
        (4096, 4096, 1, 1),
    ],
)
def test_class_of_a_request(payload: int, size: int, pages: int, objs: int) -> None:
    shape = classes.build_slots(kernel())[classes.slot_index(kernel(), payload)]
    assert (shape.size, shape.pages, shape.objs) == (size, pages, objs)


def test_class_3264_needs_a_chain_of_four() -> None:
    shape = classes.build_slots(kernel(4))[classes.slot_index(kernel(4), 3256)]
    assert (shape.size, shape.pages, shape.objs) == (3264, 4, 5)


@pytest.mark.parametrize(
    ("payload", "spanning"),
    [(2712, [1]), (472, [8]), (3400, [1, 2, 3, 4]), (2040, []), (1352, []), (4096, [])],
)
def test_objects_in_two_pages(payload: int, spanning: list[int]) -> None:
    shape = classes.build_slots(kernel())[classes.slot_index(kernel(), payload)]
    assert [i for i in range(shape.objs) if shape.spans(i)] == spanning


def test_merged_entries_hold_the_highest_class_of_their_run() -> None:
    slots = classes.build_slots(kernel())
    assert sum(slot.size == 3408 for slot in slots) == 9
    for index, slot in enumerate(slots):
        assert slot.index >= index
        assert slot.size >= 32 + 16 * index


def test_no_header_crosses_a_page() -> None:
    for shape in classes.distinct_classes(kernel(16)):
        assert not any(
            shape.page_size - i * shape.size % shape.page_size < 8 for i in range(shape.objs)
        )


def test_92_classes_waste_bytes_at_the_tail() -> None:
    assert sum(c.tail_waste > 0 for c in classes.distinct_classes(kernel())) == 92


@pytest.mark.parametrize("page_size", [8192, 16384, 65536])
def test_classes_of_larger_pages(page_size: int) -> None:
    large = kernel(page_size=page_size)
    slots = classes.build_slots(large)
    assert slots[-1].size == page_size
    assert all(
        slots[classes.slot_index(large, n)].size >= n + 8 for n in range(1, page_size - 7, 57)
    )


def test_a_larger_smallest_class_shifts_the_entries() -> None:
    coarse = Kernel("stock", min_alloc_size=64)
    assert classes.build_slots(coarse)[0].size == 64
    assert classes.slot_index(coarse, 56) == 0
    assert classes.slot_index(coarse, 57) == 1


@pytest.mark.parametrize(
    ("inuse", "objs", "group"),
    [
        (0, 17, 0),
        (17, 17, 11),
        (1, 127, 1),
        (12, 120, 2),
        (11, 120, 1),
        (16, 17, 10),
        (1, 2, 6),
        (2, 3, 7),
    ],
)
def test_fullness_group(inuse: int, objs: int, group: int) -> None:
    assert classes.fullness_group(inuse, objs) == group
