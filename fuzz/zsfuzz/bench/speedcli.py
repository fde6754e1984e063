# SPDX-License-Identifier: GPL-2.0-only
"""The command `zsfuzz bench speed`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from zsfuzz.bench.speed import LENGTHS, speed
from zsfuzz.bench.speedtable import render_speed
from zsfuzz.kerneloptions import design_option, linux_option, take_kernel
from zstools.kernel import KernelSpec, usual_design


@click.command("speed")
@design_option
@click.option("--flavour", "flavours", multiple=True, type=click.Choice(("plain", "kasan")),
              help="May be repeated.  [default: both]")  # fmt: skip
@linux_option
@click.option("--length", "lengths", multiple=True, type=click.IntRange(1, 1024),
              help=f"Operations in a program; may be repeated.  [default: {LENGTHS}]")  # fmt: skip
@click.option("--time", "seconds", type=click.FloatRange(min=1), default=8.0, show_default=True,
              help="Seconds for each flavour and length in a round.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(min=1), default=2, show_default=True,
              help="Times that flavours and lengths take turns.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench_speed(
    design: str | None,
    flavours: tuple[str, ...],
    linux: Path | None,
    lengths: tuple[int, ...],
    seconds: float,
    rounds: int,
    seed: int,
    as_json: bool,
) -> None:
    """Compare differential fuzzing with raw replay of the same programs, model, and transport."""
    names = flavours or ("plain", "kasan")
    kernels = [
        take_kernel(KernelSpec(usual_design(design, linux), flavour, linux)) for flavour in names
    ]
    console = Console(stderr=True)
    figures = speed(
        kernels, seconds, seed, lengths or LENGTHS, rounds,
        lambda line: console.print(line, markup=False, highlight=False),
    )  # fmt: skip
    if as_json:
        click.echo(json.dumps(figures, indent=1))
    else:
        Console(width=160, highlight=False).print(render_speed(figures))
