# SPDX-License-Identifier: GPL-2.0-only
"""Linux without a series: zsmalloc keeps no owners, and no pool is memcg-aware."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zsmodel.design import Design, plain_pages

if TYPE_CHECKING:
    from zsmodel.classes import ClassShape


def arrays(_shape: ClassShape) -> tuple[range, ...]:
    """Keep nothing."""
    return ()


DESIGN = Design("stock", 0, keeps_owners=False, arrays=arrays, page_states=plain_pages)
