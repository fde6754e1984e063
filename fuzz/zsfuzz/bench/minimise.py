# SPDX-License-Identifier: GPL-2.0-only
"""Measure how long it takes to minimise findings of planted bugs, each hidden in 200 operations."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.table import Table

from zsfuzz.bench.hidden import LENGTH, shown
from zsfuzz.boot import boot
from zsfuzz.minimise.judge import minimise_trouble
from zsfuzz.outcome import Outcome
from zsfuzz.planted import planted_patch
from zsfuzz.repro.check import AT_BOOT, DESIGNS, Pair, pairs
from zsfuzz.runner import ORPHAN_TITLE, Runner
from zsmodel import Model
from zstools.kernel import KernelSpec, ensure_kernel

AUDIT = "found by an audit"


@dataclass(frozen=True)
class Figure:
    """How long one finding took: the guest's first boot counts, finding it does not."""

    bug: str
    design: str
    flavour: str
    kind: str  # an outcome's word, or AUDIT
    title: str
    operations: int  # that are left
    runs: int
    seconds: float


def measure(pair: Pair, folder: Path) -> Figure | None:
    """Minimise one bug's finding; None if no long program shows it by the same title."""
    patch = planted_patch(pair.design, pair.bug)
    kernel = ensure_kernel(KernelSpec(pair.design, pair.flavour, None, (patch,)))
    with boot(kernel, folder / "console") as machine:
        runner = Runner(machine, Model(machine.kernel))
        alone = runner.run_and_audit(pair.entry.program.wire)
        trouble = alone and shown(runner, pair.entry.program, alone.title)
    if trouble is None:
        return None
    started = time.monotonic()
    with boot(kernel, folder / "console") as machine:
        smaller = minimise_trouble(Runner(machine, Model(machine.kernel)), trouble, lambda: False)
    seconds = time.monotonic() - started
    if smaller is None:
        return None
    kind = AUDIT if trouble.title == ORPHAN_TITLE else trouble.outcome.value
    left, runs = len(smaller.minimised.program), smaller.minimised.runs
    return Figure(pair.bug, pair.design, pair.flavour, kind, trouble.title, left, runs, seconds)


@click.command("minimise")
@click.argument("bugs", nargs=-1)
@click.option("--design", type=click.Choice(DESIGNS), default="zpdesc", show_default=True)
@click.option("--flavour", type=click.Choice(("plain", "kasan")), help="Only bugs that need it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench_minimise(bugs: tuple[str, ...], design: str, flavour: str | None, as_json: bool) -> None:
    """Minimise findings of 200 operations: all planted BUGS, or those that are named.

    Bugs that need the lockdep flavour are left out.  Builds a kernel for each bug.
    """
    flavours = (flavour,) if flavour else ("plain", "kasan")
    there = [pair for pair in pairs() if pair.design == design and pair.flavour in flavours]
    unknown = sorted(set(bugs) - {pair.bug for pair in there})
    if unknown:
        names = ", ".join(pair.bug for pair in there)
        raise click.BadParameter(f"no bug {', '.join(unknown)} of {design} there: there is {names}")
    chosen = [pair for pair in there if not bugs or pair.bug in bugs]
    found, missed = [], []
    for pair in chosen:
        with tempfile.TemporaryDirectory(prefix="zsfuzz-bench-") as folder:
            figure = None if pair.bug in AT_BOOT else measure(pair, Path(folder))
        found.append(figure) if figure else missed.append(pair.bug)
    if as_json:
        click.echo(json.dumps(as_dict(found, missed), indent=1))
    else:
        _show(found, missed)


def medians(found: list[Figure]) -> dict[str, float]:
    """Give the median of the seconds by kind of finding."""
    kinds = dict.fromkeys(
        [Outcome.DIVERGENCE.value, AUDIT, Outcome.KERNEL_SPLAT.value]
        + [figure.kind for figure in found]
    )
    seconds = {kind: [f.seconds for f in found if f.kind == kind] for kind in kinds}
    return {kind: median(values) for kind, values in seconds.items() if values}


def as_dict(found: list[Figure], missed: list[str]) -> dict[str, object]:
    """Make the content of --json."""
    return {
        "operations": LENGTH,
        "figures": [asdict(figure) for figure in found],
        "median_seconds": medians(found),
        "not_measured": missed,
    }


def _show(found: list[Figure], missed: list[str]) -> None:
    table = Table("bug", "design", "flavour", "kind", "operations left", "runs", "seconds")
    for f in found:
        table.add_row(
            f.bug, f.design, f.flavour, f.kind, str(f.operations), str(f.runs), f"{f.seconds:.1f}"
        )
    Console(width=140).print(table)
    for kind, seconds in medians(found).items():
        count = sum(figure.kind == kind for figure in found)
        click.echo(f"{kind}: median of {count} {seconds:.1f} s")
    if missed:
        names = ", ".join(missed)
        click.echo(
            f"not measured, as any program shows it, or none of {LENGTH} operations: {names}"
        )
