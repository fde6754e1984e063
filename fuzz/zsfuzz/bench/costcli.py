# SPDX-License-Identifier: GPL-2.0-only
"""The command `zsfuzz bench cost`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from zsfuzz.bench.cost import measure_cost
from zsfuzz.bench.costtable import cost_as_dict, render_cost
from zsfuzz.kerneloptions import linux_option, take_kernel
from zsmodel.designs import DESIGNS
from zstools.kernel import KernelSpec


@click.command("cost")
@linux_option
@click.option("--rounds", type=click.IntRange(min=1), default=15, show_default=True,
              help="Times that each design is timed; the median counts.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench_cost(linux: Path | None, rounds: int, as_json: bool) -> None:
    """Measure what each design costs beside stock: bytes of ownership, and time."""
    kernels = [take_kernel(KernelSpec(design, "plain", linux)) for design in DESIGNS]
    figures = measure_cost(kernels, rounds)
    if as_json:
        click.echo(json.dumps(cost_as_dict(figures), indent=1))
    else:
        Console(width=160).print(render_cost(figures))
