# SPDX-License-Identifier: GPL-2.0-only
"""Write a campaign as one page of HTML that needs no network and runs no script."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from zsfuzz.annotate.listing import listing_of
from zsfuzz.campaign.report.data import Told, name_of
from zsfuzz.campaign.report.plot import Plot, plot, rates
from zsfuzz.campaign.state import State
from zsfuzz.terminal import visible


@cache
def _template() -> Template:
    # Everything is escaped: titles and reports have in them what a guest's console said.
    environment = Environment(
        loader=PackageLoader("zsfuzz.campaign.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    return environment.get_template("campaign.html")


def render_page(state: State, told: Told) -> str:
    """Write the page."""
    return (
        _template().render(
            name=Path(state.layout.root).absolute().name,
            told=told,
            totals={k: v for k, v in sorted(told.totals.items()) if v},
            plots=_plots(state, told),
            listings=[listing_of(counts) for counts, _ in told.sources],
        )
        + "\n"
    )


def _plots(state: State, told: Told) -> list[Plot]:
    timeline = state.rows("SELECT * FROM timeline ORDER BY at")
    marks = [(f.at, f"{f.outcome}: {f.title}") for f in told.findings]

    def line(column: str) -> list[tuple[float, float]]:
        return [(row["at"], row[column]) for row in timeline]

    shown = {
        "programs a second": [("programs/s", rates(line("programs")))],
        "lines of mm/zsmalloc.c reached": _coverage(state, told, "lines"),
        "directions of branches reached": _coverage(state, told, "branches"),
        "programs in the corpus": [("corpus", line("corpus"))],
        "workers and findings": [("workers", line("workers")), ("findings", line("findings"))],
    }
    return [plot(title, lines, told.seconds, marks) for title, lines in shown.items()]


def _coverage(state: State, told: Told, column: str) -> list[tuple[str, list[tuple[float, float]]]]:
    """Give a line for each kernel, up to now: a row is written only when there is new coverage."""
    names = {row["key"]: name_of(row) for row in state.rows("SELECT * FROM kernels")}
    lines: dict[str, list[tuple[float, float]]] = {}
    rows: list[dict[str, Any]] = state.rows("SELECT * FROM coverage ORDER BY at")
    for row in rows:
        lines.setdefault(row["kernel"], []).append((row["at"], row[column]))
    return sorted(
        (names.get(key, key), [*line, (told.seconds, line[-1][1])]) for key, line in lines.items()
    )
