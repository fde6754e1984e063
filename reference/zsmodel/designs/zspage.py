# SPDX-License-Identifier: GPL-2.0-only
"""One array for each zspage, with an entry for each object; memcg_data stays zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsmodel.design import Design, plain_pages

if TYPE_CHECKING:
    from zsmodel.classes import ClassShape


def arrays(shape: ClassShape) -> tuple[range, ...]:
    """Enter each object once, by its index in the zspage (zspage_alloc_objcgs)."""
    return (range(shape.objs),)


DESIGN = Design("zspage", 1, keeps_owners=True, arrays=arrays, page_states=plain_pages)
