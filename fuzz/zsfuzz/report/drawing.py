# SPDX-License-Identifier: GPL-2.0-only
"""Draw a zspage as text: its pages, the slots in them, what is in each, and where sides differ.

A slot that goes on in the next page ends in ">" and an open edge, and begins there so.  Slots that
are free and equal on both sides are drawn as one where several follow each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from zsfuzz.report.zspageview import Cell, Mark, Page, ZspageView

WIDTH = 96  # columns, of the boxes of one row
LABEL = 9  # columns
FEW_ROWS = 2  # of a page, that are drawn even if nothing differs
FOLDED = 3  # free slots in a row from which on they are drawn as one


@dataclass(frozen=True)
class Box:
    """One column of the drawing: a slot, or several free ones."""

    rows: tuple[str, ...]  # slot, model, kernel
    cell: Cell

    last: int  # the last of its slots

    @property
    def width(self) -> int:
        """Count the columns inside the borders."""
        return max(map(len, self.rows))


def draw(view: ZspageView) -> list[str]:
    """Draw a zspage, with a caption."""
    lines = [caption(view)]
    for page in view.pages:
        lines.append(f"  page {page.number}{_states(page)}")
        boxes = [box for group in _groups(page.cells) for box in _boxes(group)]
        lines += _rows(list(_wrapped(boxes)), "both" if view.kernel_known else "model")
    return [line.rstrip() for line in lines]


def caption(view: ZspageView) -> str:
    """Say which zspage this is, and when."""
    shape = view.shape
    slots = f"{shape.objs} slot{'s' * (shape.objs > 1)} of {shape.size} bytes"
    pages = f"{shape.pages} page{'s' * (shape.pages > 1)}"
    text = f"{view.name} after step {view.after}: {slots} in {pages}"
    if view.missing:
        return f"{text}; the {view.missing} does not have it"
    if not view.kernel_known:
        return f"{text}; of the kernel only the answer to this step is known"
    return text


def _states(page: Page) -> str:
    known = page.model or page.kernel
    if page.model and page.kernel and page.model != page.kernel:
        return f": memcg_data differs: model {page.model}, kernel {page.kernel}"
    return "" if known in (None, "0") else f": memcg_data {known}"


def _groups(cells: tuple[Cell, ...]) -> Iterator[list[Cell]]:
    for _, group in groupby(cells, key=_foldable):
        yield list(group)


def _foldable(cell: Cell) -> bool:
    dull = cell.model is not None and cell.model.use == "free" and cell.model.owner in ("", "-")
    return dull and not cell.differs and not cell.continued and not cell.continues


def _boxes(cells: list[Cell]) -> Iterator[Box]:
    if len(cells) >= FOLDED and _foldable(cells[0]):
        name = f"{cells[0].index}..{cells[-1].index}"
        yield Box((name, "free", "free"), cells[0], cells[-1].index)
        return
    for cell in cells:
        before, after = ("> " * cell.continued, " >" * cell.continues)
        name = f"{before}{cell.index}{after}"
        yield Box((name, mark_text(cell.model), mark_text(cell.kernel)), cell, cell.index)


def mark_text(mark: Mark | None) -> str:
    """Write what is in a slot: its object, and whose it is."""
    if mark is None:
        return "?"
    if mark.owner in ("", "-"):
        return mark.use
    return f"{mark.use} {mark.owner}"


def _wrapped(boxes: list[Box]) -> Iterator[list[Box]]:
    row: list[Box] = []
    used = 0
    for box in boxes:
        if row and used + box.width + 3 > WIDTH:
            yield row
            row, used = [], 0
        row.append(box)
        used += box.width + 3
    if row:
        yield row


def _rows(rows: list[list[Box]], equal: str) -> Iterator[str]:
    # Of many rows, those without a difference tell little.
    few = len(rows) <= FEW_ROWS
    for shown, group in groupby(rows, key=lambda row: few or _row_differs(row)):
        part = list(group)
        if shown:
            for row in part:
                yield from _row(row, equal)
        else:
            yield f"  (slots {part[0][0].cell.index} to {part[-1][-1].last}: no difference)"


def _row_differs(boxes: list[Box]) -> bool:
    return any(box.cell.differs for box in boxes)


def _row(boxes: list[Box], equal: str) -> Iterator[str]:
    rule = " " * LABEL + "+" + "+".join("-" * (box.width + 2) for box in boxes) + "+"
    differs = _row_differs(boxes)
    labels = ("slot", "model", "kernel") if differs else ("slot", equal)
    yield rule
    for number, label in enumerate(labels):
        cells = "|".join(f" {box.rows[number]:<{box.width}} " for box in boxes)
        left, right = _edge(boxes[0].cell.continued), _edge(boxes[-1].cell.continues)
        yield f"  {label:<{LABEL - 2}}{left}{cells}{right}"
    yield rule
    if differs:
        under = (("^" if box.cell.differs else " ") * (box.width + 2) for box in boxes)
        yield " " * (LABEL + 1) + " ".join(under)


def _edge(open_edge: bool) -> str:
    return ":" if open_edge else "|"
