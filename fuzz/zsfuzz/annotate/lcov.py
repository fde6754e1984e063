# SPDX-License-Identifier: GPL-2.0-only
"""Write coverage as a tracefile for lcov, genhtml and what else reads them: see geninfo(1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from zsfuzz.annotate.counts import SOURCE, BranchCount, SourceCounts, count_source
from zsfuzz.atomic import replace_file
from zstools.kernel import Kernel


def tracefile(sources: Iterable[tuple[SourceCounts, Path]]) -> str:
    """Write a tracefile; each path is where the tools shall look for the text."""
    return "".join(f"{line}\n" for counts, path in sources for line in _record(counts, path))


def write_tracefile(path: Path, runs: Iterable[tuple[Kernel, Sequence[int]]]) -> None:
    """Write what runs have reached, by the hits of each kernel's sites; raises OutputLost."""
    sources = []
    for kernel, hits in runs:
        source = kernel.source / SOURCE
        build = f"{kernel.spec.design} {kernel.spec.flavour}"
        sources.append((count_source(kernel.layout, source.read_text(), hits, build), source))
    replace_file(path, tracefile(sources).encode())


def _record(counts: SourceCounts, path: Path) -> Iterator[str]:
    yield f"TN:{re.sub(r'[^A-Za-z0-9]+', '_', counts.builds[0])}"
    yield f"SF:{path}"
    yield from (f"FN:{f.line},{f.name}" for f in counts.functions)
    yield from (f"FNDA:{f.count},{f.name}" for f in counts.functions)
    yield f"FNF:{len(counts.functions)}"
    yield f"FNH:{sum(1 for f in counts.functions if f.count)}"
    yield from _branches(counts.branches)
    reached, ways = counts.ways
    yield f"BRF:{ways}"
    yield f"BRH:{reached}"
    yield from (f"DA:{line},{n}" for line, n in sorted(counts.lines.items()))
    yield f"LF:{len(counts.lines)}"
    yield f"LH:{counts.lines_reached}"
    yield "end_of_record"


def _branches(branches: Iterable[BranchCount]) -> Iterator[str]:
    blocks: dict[int, int] = {}
    for branch in sorted(branches, key=lambda b: b.line):
        block = blocks[branch.line] = blocks.get(branch.line, -1) + 1
        reached = branch.taken + branch.passed > 0
        for way, times in enumerate((branch.taken, branch.passed)):
            yield f"BRDA:{branch.line},{block},{way},{times if reached else '-'}"
