# SPDX-License-Identifier: GPL-2.0-only
"""Lay a zspage out to scale, as rectangles for an SVG: one strip a page, two where sides differ.

Lengths are in the units of the SVG's viewBox.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zsfuzz.report.drawing import caption, mark_text
from zsfuzz.report.zspageview import Cell, Mark, Page, ZspageView

LEFT = 100  # room for labels
PAGE_WIDTH = 860
OVERHANG = 10  # by which a slot that lies in two pages reaches beyond the edge
STRIP = 36  # height
PAGE_GAP = 34
LETTER = 8.5  # width of a letter, about
COLOURS = 8


@dataclass(frozen=True)
class Rectangle:
    """One slot on one side; `colour` is a class of the style sheet."""

    x: float
    y: float
    width: float
    label: str
    tip: str
    colour: str
    differs: bool

    @property
    def middle(self) -> float:
        """Give the place of the label."""
        return round(self.x + self.width / 2, 2)


@dataclass(frozen=True)
class Label:
    """Text beside a strip."""

    y: float
    text: str
    heading: bool = False


@dataclass(frozen=True)
class Picture:
    """What the SVG is made of."""

    width: float
    height: float
    caption: str
    labels: tuple[Label, ...]
    frames: tuple[float, ...]  # y of each strip
    rectangles: tuple[Rectangle, ...]
    left: float = LEFT
    page_width: float = PAGE_WIDTH
    strip: float = STRIP


def picture_of(view: ZspageView) -> Picture:
    """Lay out all pages, one below the other."""
    labels: list[Label] = []
    frames: list[float] = []
    rectangles: list[Rectangle] = []
    y = 0.0
    for page in view.pages:
        labels.append(Label(y + 20, _heading(page), heading=True))
        y += PAGE_GAP
        equal = "both" if view.kernel_known else "model"
        for side in ("model", "kernel") if page.differs else (equal,):
            labels.append(Label(y + STRIP / 2 + 5, side))
            frames.append(y)
            rectangles += _strip(page, side, y, view)
            y += STRIP + 4
    width = LEFT + PAGE_WIDTH + OVERHANG + 2
    return Picture(width, y + 4, caption(view), tuple(labels), tuple(frames), tuple(rectangles))


def _heading(page: Page) -> str:
    if page.model and page.kernel and page.model != page.kernel:
        return f"page {page.number}, memcg_data differs: model {page.model}, kernel {page.kernel}"
    return f"page {page.number}, memcg_data {page.model or page.kernel or 'unknown'}"


def _strip(page: Page, side: str, y: float, view: ZspageView) -> Iterator[Rectangle]:
    page_size = view.shape.page_size
    for cell in page.cells:
        mark = _mark(cell, side)
        begin = LEFT + cell.start / page_size * PAGE_WIDTH - OVERHANG * cell.continued
        end = LEFT + cell.end / page_size * PAGE_WIDTH + OVERHANG * cell.continues
        yield Rectangle(
            round(begin, 2),
            y,
            round(end - begin, 2),
            _label(cell, mark, end - begin),
            f"slot {cell.index}, bytes {cell.start} to {cell.end}: {mark_text(mark)}",
            _colour(mark if mark and mark.owner else _head(view, cell, side)),
            cell.differs,
        )


def _mark(cell: Cell, side: str) -> Mark | None:
    return cell.kernel if side == "kernel" else cell.model


def _head(view: ZspageView, cell: Cell, side: str) -> Mark | None:
    # Where a design has one entry for an object in two pages, it is with its first part.
    for page in view.pages:
        for other in page.cells:
            if other.index == cell.index:
                return _mark(other, side)
    return None


def _label(cell: Cell, mark: Mark | None, width: float) -> str:
    # The longest text that fits: slot and content, or the slot alone.
    whole = f"{cell.index}: {mark_text(mark)}"
    return next((t for t in (whole, str(cell.index)) if len(t) * LETTER < width), "")


def _colour(mark: Mark | None) -> str:
    if mark is None:
        return "unknown"
    if mark.owner.startswith("c"):
        return f"owner{int(mark.owner[1:]) % COLOURS}"
    if mark.owner not in ("", "-"):
        return "foreign"
    return "free" if mark.use == "free" else "used"
