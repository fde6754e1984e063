# SPDX-License-Identifier: GPL-2.0-only
"""Kernel coverage in lines and branches of mm/zsmalloc.c, from the hits of coverage sites."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zstools.branches import Branch


@dataclass(frozen=True)
class Coverage:
    """How much was reached; `branches` counts directions of conditional jumps, two for each."""

    sites: int
    sites_total: int
    lines: int
    lines_total: int
    branches: int
    branches_total: int

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Give the figures as the JSON summary has them."""
        return {
            "lines": {"reached": self.lines, "total": self.lines_total},
            "branches": {"reached": self.branches, "total": self.branches_total},
            "sites": {"reached": self.sites, "total": self.sites_total},
        }


class CoverageMap:
    """What each coverage site stands for, from the layout.json of a built kernel."""

    def __init__(self, layout: Path) -> None:
        facts = json.loads(layout.read_text())["coverage"]
        self.pcs: list[int] = [site["pc"] for site in facts["sites"]]
        self._function_of = [site["function"] for site in facts["sites"]]
        self._lines_of = [site["lines"] for site in facts["sites"]]
        self._all_lines: list[int] = facts["lines"]
        self._branches = [Branch(**branch) for branch in facts["branches"]]

    def functions(self, hits: Sequence[int]) -> set[str]:
        """List the functions that were reached, inlined ones by the name of their own."""
        return {name for name, n in zip(self._function_of, hits, strict=True) if n}

    @property
    def known(self) -> set[str]:
        """List the functions that have coverage sites."""
        return set(self._function_of)

    def reached_lines(self, hits: Sequence[int]) -> set[int]:
        """List the lines in the basic blocks that were reached."""
        return {
            line for lines, n in zip(self._lines_of, hits, strict=True) if n for line in lines
        } & set(self._all_lines)

    def measure(self, hits: Sequence[int]) -> Coverage:
        """Count what was reached; `hits` has one number for each site, in their order."""
        by_pc = dict(zip(self.pcs, hits, strict=True))
        ways = [branch.ways_seen(by_pc) for branch in self._branches]
        return Coverage(
            sites=sum(1 for n in hits if n),
            sites_total=len(self.pcs),
            lines=len(self.reached_lines(hits)),
            lines_total=len(self._all_lines),
            branches=sum(taken + passed for taken, passed in ways),
            branches_total=2 * len(ways),
        )


def read_hits(path: Path) -> list[int]:
    """Read how often each coverage site was reached, as a worker wrote it; empty if it has not."""
    try:
        hits: list[int] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return []
    return hits
