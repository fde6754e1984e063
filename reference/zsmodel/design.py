# SPDX-License-Identifier: GPL-2.0-only
"""An ownership design: where a zspage's owner entries are, and what its pages' memcg_data shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from zsmodel.classes import ClassShape

POINTER: Final = 8  # in the state of a page: memcg_data has a pointer (ZSFUZZ_PAGE_POINTER)
HELD: Final = 16  # in migrate's value: the old page is not let go (ZSFUZZ_PAGE_HELD)
KEPT: Final = 32  # there: the old page is still marked as one of a zspage (ZSFUZZ_PAGE_KEPT)
OBJEXTS: Final = 1  # MEMCG_DATA_OBJEXTS: the pointer is to an array, not to an obj_cgroup


@dataclass(frozen=True)
class Design:
    """Say what an ownership design promises of a zspage in a memcg-aware pool.

    `arrays` has the owner arrays: for each the objects that have an entry in it, in order.
    `page_states` has a byte for each page: the tag bits of memcg_data, and POINTER.
    """

    name: str
    number: int  # enum zsfuzz_design
    keeps_owners: bool
    arrays: Callable[[ClassShape], tuple[range, ...]]
    page_states: Callable[[ClassShape], bytes]


def plain_pages(shape: ClassShape) -> bytes:
    """State the pages of a zspage whose memcg_data nobody uses."""
    return bytes(shape.pages)


def array_pages(shape: ClassShape) -> bytes:
    """State the pages of a zspage of which each has an array of its own."""
    return bytes([POINTER | OBJEXTS]) * shape.pages
