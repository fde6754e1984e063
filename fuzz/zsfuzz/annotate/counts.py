# SPDX-License-Identifier: GPL-2.0-only
"""Count executions of lines, branches and functions of mm/zsmalloc.c from hits of its sites.

The compiler marks basic blocks.  A line may be in several of them, one after the other or in
several inlined copies: its count is that of the block which was executed most often.  So a count
may be too low, but it is 0 only where nothing of the line was executed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zstools.branches import Branch

SOURCE = "mm/zsmalloc.c"


@dataclass(frozen=True)
class BranchCount:
    """How often a conditional jump of a line went each way."""

    line: int
    taken: int
    passed: int


@dataclass(frozen=True)
class FunctionCount:
    """How often a function was entered, about; `line` is that of its definition."""

    name: str
    line: int
    count: int


@dataclass(frozen=True)
class SourceCounts:
    """One text of mm/zsmalloc.c with counts: of all its builds for lines, of one for branches."""

    text: str
    builds: tuple[str, ...]  # "zspage plain", for people; the first is that of branches
    lines: dict[int, int]  # those with code
    untold: frozenset[int]  # with code, but coverage cannot tell whether it was executed
    branches: tuple[BranchCount, ...]
    functions: tuple[FunctionCount, ...]
    total: int  # of all hits of the build of the branches

    @property
    def lines_reached(self) -> int:
        """Count the lines that were executed."""
        return sum(1 for n in self.lines.values() if n)

    @property
    def ways(self) -> tuple[int, int]:
        """Count directions of branches: those that were taken, and all."""
        seen = sum((b.taken > 0) + (b.passed > 0) for b in self.branches)
        return seen, 2 * len(self.branches)


def count_source(layout: Path, text: str, hits: Sequence[int], build: str) -> SourceCounts:
    """Count for one build; `hits` has a number for each site of its layout.json, in order."""
    facts = json.loads(layout.read_text())["coverage"]
    sites = facts["sites"]
    hits = hits or [0] * len(sites)
    lines = dict.fromkeys(facts["lines"], 0)
    for site, n in zip(sites, hits, strict=True):
        for line in site["lines"]:
            lines[line] = max(lines.get(line, 0), n)
    by_pc = {site["pc"]: n for site, n in zip(sites, hits, strict=True)}
    branches = [Branch(**branch) for branch in facts["branches"]]
    return SourceCounts(
        text=text,
        builds=(build,),
        lines=lines,
        untold=frozenset(facts["lines_left_out"]),
        branches=tuple(BranchCount(b.line, *b.times(by_pc)) for b in branches),
        functions=_functions(text, lines),
        total=sum(hits),
    )


def _functions(text: str, lines: Mapping[int, int]) -> tuple[FunctionCount, ...]:
    """Count by the lines of each function: most are inlined, and have no entry of their own."""
    defined = sorted((line, name) for name, line in _definitions(text).items())
    ends = [line for line, _ in defined[1:]] + [text.count("\n") + 2]
    found = []
    for (start, name), end in zip(defined, ends, strict=True):
        counts = [n for line in range(start, end) if (n := lines.get(line)) is not None]
        if counts:
            # Loops are executed more often than they are entered: the first line tells best.
            found.append(FunctionCount(name, start, next(filter(None, counts), 0)))
    return tuple(found)


_DEFINITION = re.compile(r"[a-z][\w\s*]*?\b(\w+)\([^;]*$")


def _definitions(text: str) -> dict[str, int]:
    """Find where functions begin, in the kernel's style: at the left margin."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _DEFINITION.match(line)
        if match:
            found.setdefault(match[1], number)
    return found


def merge(counts: Iterable[SourceCounts]) -> list[SourceCounts]:
    """Make one of those with the same text; branches are those of the build with most hits."""
    by_text: dict[str, SourceCounts] = {}
    for one in counts:
        known = by_text.get(one.text)
        by_text[one.text] = one if known is None else _add(known, one)
    return list(by_text.values())


def _add(left: SourceCounts, right: SourceCounts) -> SourceCounts:
    more, less = (left, right) if left.total >= right.total else (right, left)
    lines = {
        line: left.lines.get(line, 0) + right.lines.get(line, 0)
        for line in sorted(left.lines.keys() | right.lines.keys())
    }
    return replace(
        more,
        builds=more.builds + less.builds,
        lines=lines,
        untold=(left.untold | right.untold) - lines.keys(),
        functions=_functions(more.text, lines),
    )
