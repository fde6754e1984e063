# SPDX-License-Identifier: GPL-2.0-only
"""One array for each page, hung up in memcg_data with the tag MEMCG_DATA_OBJEXTS.

An object that lies in two pages is entered in both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsmodel.design import Design, array_pages

if TYPE_CHECKING:
    from zsmodel.classes import ClassShape


def arrays(shape: ClassShape) -> tuple[range, ...]:
    """Enter in each page's array the objects that have a byte there, in order."""
    return tuple(on_page(shape, page) for page in range(shape.pages))


def on_page(shape: ClassShape, page: int) -> range:
    """List the objects that have a byte in a page, by their index in the zspage."""
    first = page * shape.page_size // shape.size
    last = ((page + 1) * shape.page_size - 1) // shape.size
    return range(first, min(last + 1, shape.objs))


DESIGN = Design("zpdesc", 2, keeps_owners=True, arrays=arrays, page_states=array_pages)
