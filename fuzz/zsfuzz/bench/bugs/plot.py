# SPDX-License-Identifier: GPL-2.0-only
"""Draw the share of bugs that were found as time goes on, one line for each strategy."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from zsfuzz.bench.bugs.measure import Series
from zsfuzz.errors import HarnessError
from zsfuzz.strategy import Strategy

FORMS = (".svg", ".png", ".pdf")
EARLIEST = 0.01  # seconds, where the axis begins


def survival(found: Sequence[Series], strategy: Strategy) -> list[tuple[float, float]]:
    """List (seconds, share of all bugs whose median is no later); controls are no bugs."""
    bugs = [s for s in found if s.strategy is strategy and not s.bug.control]
    times = sorted(s.seconds for s in bugs if s.seconds is not None)
    return [(seconds, (count + 1) / len(bugs)) for count, seconds in enumerate(times)]


def check_plot(path: Path) -> None:
    """Raise HarnessError if there is nothing to draw with, or no such form."""
    if path.suffix not in FORMS:
        raise HarnessError(f"cannot draw {path}: give a name that ends with {' or '.join(FORMS)}")
    if find_spec("matplotlib") is None:
        raise HarnessError(f"no matplotlib: `pip install zsfuzz[plots]` to draw {path}")


def write_plot(found: Sequence[Series], path: Path) -> None:
    """Write SVG, PNG or PDF, whichever the name ends with; HarnessError if it cannot."""
    check_plot(path)
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to load, and seldom wanted

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    limit = max((series.limit for series in found), default=60.0)
    for strategy in dict.fromkeys(series.strategy for series in found):
        points = survival(found, strategy)
        last = points[-1][1] if points else 0.0
        x = [EARLIEST, *(max(EARLIEST, seconds) for seconds, _ in points), limit]
        axes.step(
            x, [0.0, *(share for _, share in points), last], where="post", label=strategy.value
        )
    axes.set(
        xscale="log",
        xlabel="seconds of fuzzing",
        ylabel="share of planted bugs found (median)",
        ylim=(0, 1.02),
    )
    axes.legend(loc="lower right")
    figure.savefig(path)
