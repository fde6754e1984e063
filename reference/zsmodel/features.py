# SPDX-License-Identifier: GPL-2.0-only
"""Model-state coverage: a number for each kind of situation in which a zspage can be."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from zsmodel.classes import ClassShape
from zsmodel.wire import NONE8

if TYPE_CHECKING:
    from zsmodel.zspage import Zspage

SITUATIONS: Final = 4096
NULL = bytes([NONE8])


@cache
def class_kind(shape: ClassShape) -> int:
    """Tell classes apart: huge, or spanning objects, tail waste, several pages (3 bits)."""
    if shape.huge:
        return 7
    spanning = any(shape.spans(index) for index in range(shape.objs))
    return spanning | bool(shape.tail_waste) << 1 | (shape.pages > 1) << 2


def owner_pattern(zspage: Zspage, aware: bool) -> int:
    """Tell apart: no array, no owner, one owner for all or for some, several owners (3 bits)."""
    if not aware:
        return 0
    owners = zspage.owners.translate(None, NULL)
    if not owners:
        return 1
    if owners.count(owners[0]) != len(owners):
        return 5 if len(owners) == zspage.inuse else 4
    return 3 if len(owners) == zspage.inuse else 2


def situation(zspage: Zspage, aware: bool) -> int:
    """Compute the number of a zspage's situation, below SITUATIONS."""
    held = (zspage.readers != 0) | (zspage.locked != 0) << 1
    return (
        zspage.size_class.kind | zspage.group << 3 | owner_pattern(zspage, aware) << 7 | held << 10
    )
