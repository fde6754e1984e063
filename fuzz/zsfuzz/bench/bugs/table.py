# SPDX-License-Identifier: GPL-2.0-only
"""Lay out how long each planted bug took, with all strategies side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Group
from rich.table import Table
from rich.text import Text

from zsfuzz.bench.bugs.measure import Series
from zsfuzz.strategy import Strategy


def render_bugs(found: Sequence[Series]) -> Group:
    """Show the table, and below it what it adds up to."""
    return Group(_table(found), *(Text(line) for line in summary_lines(found)))


def _strategies(found: Sequence[Series]) -> list[Strategy]:
    return list(dict.fromkeys(series.strategy for series in found))


def _table(found: Sequence[Series]) -> Table:
    table = Table(title="seconds to the first finding: median (shortest to longest), of trials")
    for name in ("bug", "design"):
        table.add_column(name, no_wrap=True)
    for strategy in _strategies(found):
        table.add_column(strategy.value, justify="right", no_wrap=True)
    for name in ("operations", "seen by", "named"):
        table.add_column(name, justify="right", no_wrap=True)
    for _, group in groupby(found, key=lambda series: series.bug):
        row = list(group)
        bug, first = row[0].bug, row[0]
        name = f"{bug.name} (control)" if bug.control else bug.name
        table.add_row(name, bug.design, *map(cell, row), *_facts(first))
    return table


def line_of(series: Series) -> str:
    """Say in one line how it went."""
    titles = Counter(trial.title for trial in series.trials if trial.found)
    told = f", {', '.join(title for title, _ in titles.most_common())}" if titles else ""
    went = series.error or f"{cell(series)}{told}"
    return f"{series.bug.key} {series.strategy.value}: {went}"


def cell(series: Series) -> str:
    """Say in a few characters how the trials went."""
    if series.error:
        return "error"
    tries = f"{series.hits}/{len(series.trials)}"
    if series.flaky:
        tries += f", {series.flaky} flaky"
    if series.seconds is None or series.spread is None:
        return f"- {tries}"
    shortest, longest = series.spread
    return f"{series.seconds:.1f} ({shortest:.1f} to {longest:.1f}) {tries}"


def _facts(series: Series) -> tuple[str, str, str]:
    operations = "-" if series.operations is None else f"{series.operations:,.0f}"
    oracle = ", ".join(name for name, _ in series.oracles.most_common()) or "-"
    named = f"{series.named}/{series.hits}" if series.hits else "-"
    return operations, oracle, named


def summary_lines(found: Sequence[Series]) -> Iterator[str]:
    """Add up, strategy by strategy; controls are counted apart, and errors with what is missed."""
    for strategy in _strategies(found):
        mine = [series for series in found if series.strategy is strategy]
        bugs = [series for series in mine if not series.bug.control]
        hits = sum(series.found for series in bugs)
        limit = max((series.limit for series in mine), default=0)
        line = (
            f"{strategy.value}: {hits} of {len(bugs)} bugs found within {limit:g} s at the median"
        )
        controls = [series for series in mine if series.bug.control]
        if controls:
            reported = sum(series.hits > 0 for series in controls)
            line += f"; {reported} of {len(controls)} controls reported"
        yield line
    first = next(iter(_strategies(found)), None)
    oracles = Counter(
        oracle
        for series in found
        if series.strategy is first and not series.bug.control
        for oracle, _ in series.oracles.most_common(1)
    )
    if oracles:
        yield "seen first by: " + ", ".join(f"{name} {n}" for name, n in oracles.most_common())
    for series in found:
        if series.error:
            yield f"{series.bug.key} {series.strategy.value}: {series.error.splitlines()[0]}"
