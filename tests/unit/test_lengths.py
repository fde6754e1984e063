# SPDX-License-Identifier: GPL-2.0-only
"""Compressed lengths that no page can have are refused before the model takes them."""

from __future__ import annotations

import pytest
from model_support import ZSPAGE

from zsfuzz.errors import HarnessError
from zsfuzz.guest.lengths import check_lengths

ZSWAP, DISK = ZSPAGE.zswap_lengths, ZSPAGE.disk_lengths


def changed(lengths: tuple[int, ...], pattern: int, length: int) -> tuple[int, ...]:
    return (*lengths[:pattern], length, *lengths[pattern + 1 :])


def test_lengths_of_a_real_kernel_are_taken() -> None:
    check_lengths(ZSWAP, DISK, 4096)
    check_lengths(changed(ZSWAP, 9, 1), changed(DISK, 9, 4096), 4096)


@pytest.mark.parametrize(
    ("pattern", "length"), [(0, 44), (1, 0), (2, 0), (9, 4097), (14, 60_000), (15, 4095), (15, 0)]
)
def test_in_zswap_another_length_is_refused(pattern: int, length: int) -> None:
    with pytest.raises(HarnessError, match=rf"pattern {pattern} was .* {length} bytes in zswap"):
        check_lengths(changed(ZSWAP, pattern, length), DISK, 4096)


@pytest.mark.parametrize(
    ("pattern", "length"), [(0, 1), (1, 44), (2, 0), (14, 4097), (15, 3000), (15, 0)]
)
def test_on_the_disk_another_length_is_refused(pattern: int, length: int) -> None:
    with pytest.raises(HarnessError, match=rf"pattern {pattern} was .* {length} bytes on the disk"):
        check_lengths(ZSWAP, changed(DISK, pattern, length), 4096)
