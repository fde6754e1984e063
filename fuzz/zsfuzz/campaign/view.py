# SPDX-License-Identifier: GPL-2.0-only
"""What people see of a campaign: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from zsfuzz.campaign.state import Row, State
from zsfuzz.campaign.status import Status
from zsfuzz.terminal import one_line

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 60  # of the plots, in characters
POINTS = 10 * WIDTH  # of the timeline that are read for a plot
LINE_EVERY = 10.0  # seconds between plain lines


def plain_line(status: Status) -> str:
    """Fit the campaign into one line."""
    sites = status["coverage"]["sites"]
    return (
        f"{status['seconds']:8.0f} s  {status['programs']:,} programs  "
        f"{status['programs_per_second']:,.0f}/s  {status['operations']:,} operations  "
        f"corpus {status['corpus']:,}  coverage {sites['reached']}/{sites['total']} sites  "
        f"new {status['seconds_since_new_coverage']:,.0f} s ago  "
        f"workers {len(status['workers'])}  findings {len(status['findings'])}"
    )


def spark(values: Sequence[float], width: int = WIDTH) -> str:
    """Draw values as bars of eight heights, the last `width` groups of equal size."""
    if not values:
        return ""
    step = max(1, -(-len(values) // width))
    groups = [max(values[i : i + step]) for i in range(0, len(values), step)]
    low, high = min(groups), max(groups)
    span = (high - low) or 1
    return "".join(BARS[int((value - low) / span * (len(BARS) - 1))] for value in groups)


def render(status: Status, state: State) -> RenderableType:
    """Lay out all of it for a terminal, or for `campaign status`."""
    parts: list[RenderableType] = [Text(plain_line(status).strip()), Text("")]
    points = _timeline(state)
    rates = [
        (b["programs"] - a["programs"]) / (b["at"] - a["at"])
        for a, b in pairwise(points)
        if b["at"] > a["at"]
    ]
    if rates:
        parts.append(Text(f"programs/s  {spark(rates)}  {rates[-1]:,.0f}"))
        parts.append(Text(f"corpus      {spark([p['corpus'] for p in points])}"))
    parts += [Text(""), _kernels(status)]
    if status["workers"]:
        parts += [Text(""), _workers(status)]
    if status["findings"]:
        parts += [Text(""), _findings(status)]
    if status["events"]:
        parts += [Text(""), *(Text(_event_line(event)) for event in status["events"][-5:])]
    return Group(*parts)


def _timeline(state: State) -> list[Row]:
    """Read some of the rows, however many there are, and the last one."""
    rows = state.rows("SELECT COUNT(*) AS n, max(rowid) AS last FROM timeline")[0]
    return state.rows(
        "SELECT at, programs, corpus FROM timeline WHERE rowid % ? = 0 OR rowid = ? ORDER BY at",
        max(1, rows["n"] // POINTS), rows["last"],
    )  # fmt: skip


def _kernels(status: Status) -> Table:
    table = _table("design", "flavour", "variant", ">lines", ">branches", ">sites")
    for kernel in status["coverage"]["kernels"]:
        reached = (
            f"{kernel[name]['reached']} of {kernel[name]['total']}"
            for name in ("lines", "branches", "sites")
        )
        table.add_row(kernel["design"], kernel["flavour"], kernel["variant"], *reached)
    return table


def _workers(status: Status) -> Table:
    table = _table("worker", "pid", "kernel", "faults", ">seconds", ">programs", ">guests lost")
    for one in status["workers"]:
        kernel = " ".join((one["design"], one["flavour"], one["variant"]))
        table.add_row(
            str(one["id"]), str(one["pid"]), kernel, one["faults"],
            f"{one['seconds']:.0f}", f"{one['programs']:,}", str(one["restarts"]),
        )  # fmt: skip
    return table


def _findings(status: Status) -> Table:
    table = _table("finding", "design", ">seen", "title")
    for one in status["findings"]:
        title = f"{one['outcome']}: {one['title']}"
        table.add_row(one["id"], one["design"], f"{one['seen']:,}", Text(title))
    return table


def _event_line(event: dict[str, object]) -> str:
    text = one_line(str(event["text"]).splitlines()[0])
    return f"{event['at']:8.0f} s  {event['kind']}: {text}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.lstrip(">"), justify="right" if column[0] == ">" else "left")
    return table


class Screen:
    """Shows statuses as they come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._next = 0.0
        self._told: list[str] = []

    def __enter__(self) -> Screen:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, status: Status, state: State, troubles: list[str]) -> None:
        """Draw the live view anew, or print a line if it is time for one, and troubles at once."""
        if self._console.is_terminal:
            told = [Text(trouble, style="red") for trouble in troubles]
            self._live.update(Group(*told, render(status, state)), refresh=True)
            return
        for trouble in troubles:
            if trouble not in self._told:
                self._console.print(trouble, highlight=False, soft_wrap=True, markup=False)
        self._told = troubles
        if status["seconds"] >= self._next:
            self._next = status["seconds"] + LINE_EVERY
            self._console.print(plain_line(status), highlight=False, soft_wrap=True)
