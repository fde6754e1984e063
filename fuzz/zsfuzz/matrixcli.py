# SPDX-License-Identifier: GPL-2.0-only
"""The command `zsfuzz matrix`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from zsfuzz.errors import ZsfuzzError
from zsfuzz.findings.store import locked_output
from zsfuzz.kerneloptions import linux_option
from zsfuzz.matrix import (
    MEANS,
    PROGRAMS,
    all_variants,
    exit_code_of,
    line_of,
    render_matrix,
    run_matrix,
    specs_of,
    usual_variants,
)
from zsmodel.designs import DESIGNS
from zstools.kernel import FLAVOURS
from zstools.progress import for_console


@click.command("matrix")
@click.option(
    "--design", "designs", multiple=True, type=click.Choice(tuple(DESIGNS)),
    help="May be repeated.  [default: all]",
)  # fmt: skip
@click.option(
    "--variant", "variants", multiple=True, metavar="NAME",
    help="Such as chain-16, or default; may be repeated.  "
    f"[default: all but {' and '.join(MEANS)}]",
)  # fmt: skip
@click.option("--flavour", type=click.Choice(FLAVOURS), default="plain", show_default=True)
@linux_option
@click.option(
    "--programs", type=click.IntRange(min=0), default=PROGRAMS, show_default=True,
    help="Mutated programs for each combination, besides seeds and examples.",
)  # fmt: skip
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("zsfuzz-out"),
    show_default=True,
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    help="Write the table to this file as well.",
)
@click.pass_context
def matrix_command(
    ctx: click.Context,
    designs: tuple[str, ...],
    variants: tuple[str, ...],
    flavour: str,
    linux: Path | None,
    programs: int,
    output: Path,
    json_file: Path | None,
) -> None:
    """Build each design in each variant of the configuration, and test it for some seconds."""
    known = all_variants()
    if unknown := [name for name in variants if name not in known]:
        raise ZsfuzzError(f"no variant {unknown[0]!r}: there is {', '.join(known)}")
    console = Console(stderr=True)
    chosen = variants or usual_variants()
    specs = specs_of(designs or tuple(DESIGNS), chosen, flavour, linux)
    with locked_output(output):
        rows = run_matrix(
            specs, programs, output, for_console(console, False),
            lambda row: console.print(line_of(row), markup=False, soft_wrap=True),
        )  # fmt: skip
    click.echo(render_matrix(rows))
    if json_file is not None:
        json_file.write_text(json.dumps([row.as_dict() for row in rows], indent=1) + "\n")
    ctx.exit(exit_code_of(rows))
