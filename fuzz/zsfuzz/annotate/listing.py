# SPDX-License-Identifier: GPL-2.0-only
"""The text of mm/zsmalloc.c line by line with its counts, for a page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from zsfuzz.annotate.counts import BranchCount, SourceCounts


@dataclass(frozen=True)
class SourceLine:
    """One line; `kind` is hit, partly (a branch went one way only), miss, untold or empty."""

    number: int
    text: str
    kind: str
    count: str
    branches: str


@dataclass(frozen=True)
class Listing:
    """One text with what was reached of it; `missed` are (name, line) of functions never run."""

    title: str
    branches_of: str
    lines_reached: int
    lines_total: int
    ways_reached: int
    ways_total: int
    missed: tuple[tuple[str, int], ...]
    lines: tuple[SourceLine, ...]


def listing_of(counts: SourceCounts) -> Listing:
    """Lay out one text."""
    reached, ways = counts.ways
    return Listing(
        title=", ".join(sorted(counts.builds)),
        branches_of=counts.builds[0],
        lines_reached=counts.lines_reached,
        lines_total=len(counts.lines),
        ways_reached=reached,
        ways_total=ways,
        missed=tuple((f.name, f.line) for f in counts.functions if not f.count),
        lines=tuple(_lines(counts)),
    )


def _lines(counts: SourceCounts) -> Iterable[SourceLine]:
    branches: dict[int, list[BranchCount]] = {}
    for branch in counts.branches:
        branches.setdefault(branch.line, []).append(branch)
    for number, text in enumerate(counts.text.splitlines(), 1):
        count, ways = counts.lines.get(number), branches.get(number, [])
        kind = _kind(count, ways, number in counts.untold)
        shown = "" if count is None else f"{count:,}"
        told = ", ".join(f"{b.taken:,} / {b.passed:,}" for b in ways)
        yield SourceLine(number, text, kind, shown, told)


def _kind(count: int | None, ways: list[BranchCount], untold: bool) -> str:
    if count is None:
        return "untold" if untold else "empty"
    if not count:
        return "miss"
    return "hit" if all(b.taken and b.passed for b in ways) else "partly"
