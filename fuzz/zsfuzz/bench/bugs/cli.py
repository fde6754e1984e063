# SPDX-License-Identifier: GPL-2.0-only
"""The command `zsfuzz bench bugs`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from zsfuzz.bench.bugs.catalogue import Bug, catalogue, read_bug
from zsfuzz.bench.bugs.measure import Plan, Series, measure
from zsfuzz.bench.bugs.plot import check_plot, write_plot
from zsfuzz.bench.bugs.stages import ALL
from zsfuzz.bench.bugs.table import line_of, render_bugs
from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS, EXIT_HARNESS_ERROR
from zsfuzz.strategy import Strategy
from zsmodel.designs import DESIGNS
from zstools.kernel import Kernel, KernelSpec, ensure_kernel
from zstools.progress import for_console

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("bugs")
@click.option("--design", "designs", multiple=True, type=click.Choice(tuple(DESIGNS)),
              help="May be repeated.  [default: all; with --patch: zspage]")  # fmt: skip
@click.option("--bug", "names", multiple=True, metavar="NAME",
              help="Only this planted bug; may be repeated.  [default: all]")  # fmt: skip
@click.option("--patch", "patches", multiple=True,
              type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A bug of your own, in place of the planted ones; may be repeated.")  # fmt: skip
@click.option("--strategy", "strategies", multiple=True,
              type=click.Choice([strategy.value for strategy in Strategy]),
              help="What of the fuzzer is used; may be repeated.  [default: full]")  # fmt: skip
@click.option("--flavour", "flavours", multiple=True, type=click.Choice(ALL),
              help="Shares a trial's time; may be repeated.  [default: all]")  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1),
              help="Trials of each bug.  [default: 3; with --patch: 1]")  # fmt: skip
@click.option("--time", "seconds", type=click.FloatRange(min=1), default=60.0, show_default=True,
              help="Seconds that a trial may take.")  # fmt: skip
@click.option("--json", "json_file", metavar="[FILE]", is_flag=False, flag_value="-",
              help="Write all figures as JSON to FILE, or in place of the table.")  # fmt: skip
@click.option("--plot", "plot_file", type=FILE,
              help="Draw the share of bugs found over time (SVG, PNG or PDF).")  # fmt: skip
@click.pass_context
def bugs_command(
    ctx: click.Context,
    designs: tuple[str, ...],
    names: tuple[str, ...],
    patches: tuple[Path, ...],
    strategies: tuple[str, ...],
    flavours: tuple[str, ...],
    seeds: int | None,
    seconds: float,
    json_file: str | None,
    plot_file: Path | None,
) -> None:
    """Measure how long it takes to find planted bugs, from an empty corpus.

    The kernels of a bug are built as they are needed, kasan and lockdep only if plain shows
    nothing in its share of the time; neither building nor booting counts as time.  Exit codes: 0
    each bug was found at the median and no control reported, 1 otherwise, 2 something could not be
    measured.
    """
    _check_outputs(json_file, plot_file)
    bugs = _choose(designs, names, patches)
    plan = Plan(
        tuple(map(Strategy, strategies)) or (Strategy.FULL,),
        seeds or (1 if patches else 3), seconds, flavours or ALL,
    )  # fmt: skip
    found: list[Series] = []
    for series in measure(bugs, plan, _Cached):
        found.append(series)
        click.echo(line_of(series), err=True)
        if json_file not in (None, "-"):
            Path(json_file).write_text(_json(found))  # so far, should somebody end it
    if json_file == "-":
        click.echo(_json(found), nl=False)
    Console(width=200, stderr=json_file == "-").print(render_bugs(found))
    if plot_file is not None:
        write_plot(found, plot_file)
    ctx.exit(_exit_code(found))


def _check_outputs(json_file: str | None, plot_file: Path | None) -> None:
    """Refuse at once what would fail after hours."""
    for path in (json_file if json_file != "-" else None, plot_file):
        if path is not None and not Path(path).absolute().parent.is_dir():
            raise click.BadParameter(f"{path}: no such folder: make it first")
        if path is not None and Path(path).is_dir():
            raise click.BadParameter(f"{path}: is a folder: name a file in it")
    if plot_file is not None:
        check_plot(plot_file)


def _choose(designs: Sequence[str], names: Sequence[str], patches: Sequence[Path]) -> list[Bug]:
    if patches and names:
        raise click.BadParameter(f"--bug {names[0]} is a planted bug: give it without --patch")
    if patches:
        return [read_bug(patch, design) for design in designs or ("zspage",) for patch in patches]
    bugs = catalogue(designs or tuple(DESIGNS))
    unknown = sorted(set(names) - {bug.name for bug in bugs})
    if unknown:
        there = ", ".join(sorted({bug.name for bug in bugs}))
        raise click.BadParameter(f"no planted bug {', '.join(unknown)}: there is {there}")
    return [bug for bug in bugs if not names or bug.name in names]


@dataclass(frozen=True)
class _Cached:
    """The kernels of one bug, from the cache."""

    bug: Bug

    def broken(self, flavour: str) -> Kernel:
        return self._ensure(flavour, (self.bug.patch.absolute(),))

    def clean(self, flavour: str) -> Kernel:
        return self._ensure(flavour, ())

    def _ensure(self, flavour: str, patches: tuple[Path, ...]) -> Kernel:
        spec = KernelSpec(self.bug.design, flavour, extra_patches=patches)
        return ensure_kernel(spec, for_console(Console(stderr=True), False))


def _json(found: Sequence[Series]) -> str:
    return json.dumps([series.as_dict() for series in found], indent=1) + "\n"


def _exit_code(found: Sequence[Series]) -> int:
    if any(series.error for series in found):
        return EXIT_HARNESS_ERROR
    missed = any(not series.found for series in found if not series.bug.control)
    false_alarm = any(series.hits for series in found if series.bug.control)
    return EXIT_FINDINGS if missed or false_alarm else EXIT_CLEAN
