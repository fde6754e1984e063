# SPDX-License-Identifier: GPL-2.0-only
"""Lay out lines over time as an SVG: the template draws, nothing here is text of strangers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 1000.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 70.0, 12.0, 10.0, 24.0
MOST_POINTS = 500  # a line; more cannot be seen
TICKS = 4

Point = tuple[float, float]  # seconds, value


@dataclass(frozen=True)
class Line:
    """One line; `colour` is a class of the style sheet, `path` what <polyline> takes."""

    name: str
    colour: str
    path: str
    last: str


@dataclass(frozen=True)
class Tick:
    """A mark at an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Plot:
    """What the template draws; `marks` are x of events with their texts."""

    title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Tick, ...]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def plot(
    title: str,
    series: Iterable[tuple[str, Sequence[Point]]],
    seconds: float,
    marks: Iterable[tuple[float, str]] = (),
) -> Plot:
    """Lay out series of points over `seconds`, from 0 on both axes."""
    kept = [(name, thin(points)) for name, points in series if points]
    top = max((y for _, points in kept for _, y in points), default=0.0)
    step_y = nice_step(top or 1.0)
    highest = step_y * max(1, math.ceil(top / step_y))
    seconds = max(seconds, 1.0)

    def x(at: float) -> float:
        return round(LEFT + min(at / seconds, 1.0) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - value / highest * (HEIGHT - TOP - BOTTOM), 1)

    lines = tuple(
        Line(
            name, f"line{i % 8}", " ".join(f"{x(a)},{y(v)}" for a, v in points),
            f"{points[-1][1]:,.0f}",
        )
        for i, (name, points) in enumerate(kept)
    )  # fmt: skip
    unit, word = time_unit(seconds)
    step_x = nice_step(seconds / unit)
    return Plot(
        title=title,
        lines=lines,
        x_ticks=tuple(
            Tick(x(i * step_x * unit), f"{i * step_x:g} {word}")
            for i in range(int(seconds / unit / step_x) + 1)
        ),
        y_ticks=tuple(
            Tick(y(i * step_y), f"{i * step_y:,g}" if step_y < 1 else f"{i * step_y:,.0f}")
            for i in range(round(highest / step_y) + 1)
        ),
        marks=tuple(Tick(x(at), text) for at, text in marks),
    )


def thin(points: Sequence[Point]) -> list[Point]:
    """Leave out points that would not be seen, never the last."""
    step = -(-len(points) // MOST_POINTS)
    return [*points[: len(points) - 1 : step], points[-1]] if points else []


def rates(points: Sequence[Point]) -> list[Point]:
    """Turn a growing total into its growth a second, between points that are kept.

    A total that has become less, after a database was begun anew, gives no rate.
    """
    kept = thin(points)
    return [
        (b[0], (b[1] - a[1]) / (b[0] - a[0]))
        for a, b in itertools.pairwise(kept)
        if b[0] > a[0] and b[1] >= a[1]
    ]


def nice_step(top: float) -> float:
    """Choose 1, 2 or 5 times a power of ten, so that about four steps reach `top`."""
    rough = top / TICKS
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(power * k for k in (1, 2, 5, 10) if power * k >= rough * 0.999)


def time_unit(seconds: float) -> tuple[float, str]:
    """Choose the unit of the time axis: seconds in it, and its sign."""
    for unit, word in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit:
            return unit, word
    return 1.0, "s"
