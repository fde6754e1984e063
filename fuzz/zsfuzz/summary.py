# SPDX-License-Identifier: GPL-2.0-only
"""The summary of a run, as text for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from zsfuzz.outcome import Outcome
from zsfuzz.program import Opcode
from zsfuzz.run import Progress, Result


def progress_line(progress: Progress, sites: int) -> str:
    """Fit the state of a run into one line."""
    return (
        f"{progress.seconds:5.0f} s  {progress.programs:,} programs  {progress.rate:,.0f}/s  "
        f"{progress.operations:,} operations  corpus {progress.inputs}  "
        f"coverage {progress.sites}/{sites} sites  rechecked {progress.checked:,}  "
        f"findings {progress.findings}"
    )


def render_summary(result: Result) -> RenderableType:
    """Lay out what a run did, how well it covered the kernel, and what came of it."""
    return Group(
        Text(""), _head(result), Text(""), _operations(result), Text(""), _outcomes(result),
        Text(""), _findings(result),
    )  # fmt: skip


def render_comparison(results: Sequence[Result]) -> RenderableType:
    """Lay out runs on several designs side by side, then what came of each."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", *(result.design for result in results)):
        table.add_column(heading, justify="right" if heading else "left")
    for name, cell in _COMPARED.items():
        table.add_row(name, *(cell(result) for result in results))
    found = [_findings(result) for result in results if result.findings]
    return Group(Text(""), table, Text(""), *(found or [Text("no findings")]))


def _rate(result: Result) -> str:
    explored = result.stats.get("explore", {}).get("programs", 0)
    return f"{explored / max(result.seconds, 1e-9):,.0f}"


_COMPARED: dict[str, Callable[[Result], str]] = {
    "kernel": lambda r: r.version,
    "flavours": lambda r: " and ".join(r.flavours),
    "seconds": lambda r: f"{r.seconds:.1f}",
    "programs": lambda r: f"{r.total('programs'):,}",
    "operations": lambda r: f"{r.total('operations'):,}",
    "programs/s, exploring": _rate,
    "lines of mm/zsmalloc.c": lambda r: _ratio(r.coverage.lines, r.coverage.lines_total),
    "branches": lambda r: _ratio(r.coverage.branches, r.coverage.branches_total),
    "kernel's word taken": lambda r: f"{r.total('tolerated'):,}",
    "audits": lambda r: f"{r.total('audits'):,}",
    "did not agree": lambda r: f"{r.total('programs') - r.outcomes[Outcome.AGREE.value]:,}",
    "swap path": lambda r: "not tested" if r.no_swap else "tested",
    "findings": lambda r: f"{len(r.findings):,}",
}


def _table() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="left")
    table.add_column(justify="left")
    return table


def _ratio(reached: int, total: int) -> str:
    return f"{reached} of {total} ({100 * reached / max(total, 1):.1f} %)"


def _head(result: Result) -> RenderableType:
    explorer = result.stats.get("explore", {})
    coverage, table = result.coverage, _table()
    table.add_row(
        "kernel",
        f"{result.version}, design {result.design}, UML, flavours {' and '.join(result.flavours)}",
    )
    if result.profile:
        table.add_row("profile", result.profile)
    table.add_row("time", f"{result.seconds:.1f} s")
    for name, stats in result.stats.items():
        table.add_row(
            name,
            f"{stats.get('programs', 0):,} programs, {stats.get('operations', 0):,} operations",
        )
    table.add_row(
        "speed", f"{explorer.get('programs', 0) / max(result.seconds, 1e-9):,.0f} programs/s"
    )
    table.add_row(
        "mm/zsmalloc.c",
        f"lines {_ratio(coverage.lines, coverage.lines_total)}, "
        f"branches {_ratio(coverage.branches, coverage.branches_total)}",
    )
    table.add_row("hot path", "compiled" if result.compiled else "plain Python (no mypyc or gcc)")
    table.add_row("corpus", f"{result.new_inputs} new programs")
    if result.no_swap:
        table.add_row("swap path", f"not tested, all its operations are refused: {result.no_swap}")
    if killed := result.total("killed"):
        table.add_row("guests", f"{killed:,} killed from outside (no memory?) and replaced")
    for error in result.bad_files:
        table.add_row("left out", error)
    return table


def _operations(result: Result) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    table.add_column("operation")
    table.add_column("times", justify="right")
    for opcode in Opcode:
        table.add_row(opcode.word, f"{result.total(f'op {opcode.word}'):,}")
    return table


def _outcomes(result: Result) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    table.add_column("outcome")
    table.add_column("programs", justify="right")
    for outcome in Outcome:
        table.add_row(outcome.value, f"{result.outcomes[outcome.value]:,}")
    table.add_row(
        "(kernel's word taken for slab's own allocations)", f"{result.total('tolerated'):,}"
    )
    table.add_row(
        "(left out: swapping and cgroup changes had their share)", f"{result.total('skipped'):,}"
    )
    table.add_row(
        "(audits: all cgroups removed, nothing left of them)", f"{result.total('audits'):,}"
    )
    return table


def _findings(result: Result) -> RenderableType:
    if not result.findings:
        return Text("no findings")
    table = _table()
    for finding in result.findings:
        table.add_row(str(finding["outcome"]), str(finding["title"]))
        table.add_row("", f"{finding['path']}/report.txt")
    return Group(Text(f"{len(result.findings)} findings in {result.output}"), table)
