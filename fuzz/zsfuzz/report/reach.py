# SPDX-License-Identifier: GPL-2.0-only
"""Which functions of mm/zsmalloc.c a step reaches, by coverage: the program with it and without it.

What frees everything at a program's end is not counted by the module.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from zsfuzz.coverage import CoverageMap
from zsfuzz.errors import KernelSplat, Unanswered
from zsfuzz.findings.finding import Finding
from zsfuzz.guest.machine import Machine
from zsfuzz.guest.target import Target
from zsfuzz.program import OP_SIZE


def with_reach(finding: Finding, target: Target, layout: Path) -> Finding:
    """Add what the step that differs reaches; nothing if none does, or there is no coverage."""
    if finding.step is None or finding.divergence is None or not isinstance(target, Machine):
        return finding
    return replace(finding, reached=reached_by(target, layout, finding.program.wire, finding.step))


def reached_by(machine: Machine, layout: Path, wire: bytes, step: int) -> tuple[str, ...]:
    """Name the functions that run more often with operation `step`, from 1, than without it.

    The guest is a fresh one afterwards.  () if the kernel fails on the way.
    """
    with_step, without = wire[: step * OP_SIZE], wire[: (step - 1) * OP_SIZE]
    try:
        counts = [tuple(_hits(machine, program)) for program in (without, with_step)]
    except (KernelSplat, Unanswered):
        machine.restart()
        return ()
    more = [max(0, b - a) for a, b in zip(*counts, strict=True)]
    return tuple(sorted(CoverageMap(layout).functions(more)))


def _hits(machine: Machine, wire: bytes) -> Iterator[int]:
    """Count how often a program reaches each coverage site, in a guest that ran nothing else."""
    machine.restart()
    before = machine.hits()
    machine.run(wire)
    after = machine.hits()
    machine.restart()
    yield from (b - a for a, b in zip(before, after, strict=True))
