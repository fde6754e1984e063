# SPDX-License-Identifier: GPL-2.0-only
"""The command `zsfuzz check-reproducers`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS, EXIT_HARNESS_ERROR
from zsfuzz.repro.check import DESIGNS, Pair, Row, check_all, pairs, without_program
from zstools.kernel import Kernel, KernelSpec, ensure_kernel

HEADER = "| bug | design | flavour | with the bug | clean |\n|---|---|---|---|---|"


@click.command("check-reproducers")
@click.argument("bugs", nargs=-1)
@click.option("--design", type=click.Choice(DESIGNS), help="Only on this design.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, once all were tried.")
def check_reproducers(bugs: tuple[str, ...], design: str | None, as_json: bool) -> None:
    """Try the reproducers in C of planted bugs: each must fail on the bug only.

    Builds a kernel for each bug, so that all of them take half an hour at first.  Prints a table
    in Markdown.  The exit code is 1 if a reproducer passes on its bug, or fails without it; 2 if
    one could not be tried.
    """
    known = {pair.bug for pair in pairs()}
    for bug in bugs:
        if bug not in known:
            raise click.BadParameter(f"no planted bug {bug!r}: there is {', '.join(sorted(known))}")
    rows = _run(
        [
            pair
            for pair in pairs()
            if (not bugs or pair.bug in bugs) and design in (None, pair.design)
        ],
        as_json,
    )
    if as_json:
        click.echo(json.dumps({"reproducers": list(map(_as_data, rows))}, indent=2))
    elif not bugs and without_program():
        click.echo(
            f"\nNot tried, no program is in corpus/regressions: {', '.join(without_program())}."
        )
    if any(not row.tried for row in rows):
        sys.exit(EXIT_HARNESS_ERROR)
    sys.exit(EXIT_CLEAN if all(row.good for row in rows) else EXIT_FINDINGS)


def _run(chosen: list[Pair], quiet: bool) -> list[Row]:
    if not quiet:
        click.echo(HEADER)
    rows = []
    for row in check_all(chosen, _build):
        rows.append(row)
        if not quiet:
            click.echo(_as_line(row))
    return rows


def _build(design: str, flavour: str, patches: tuple[Path, ...]) -> Kernel:
    return ensure_kernel(KernelSpec(design, flavour, None, patches))


def _as_line(row: Row) -> str:
    buggy = f"{'fails' if row.buggy.fails else 'DOES NOT FAIL'}: {row.buggy.told}"
    clean = "passes" if row.clean.passes else f"DOES NOT PASS: {row.clean.told}"
    pair = row.pair
    return f"| {pair.bug} | {pair.design} | {pair.flavour} | {buggy} | {clean} |"


def _as_data(row: Row) -> dict[str, Any]:
    return {
        "bug": row.pair.bug,
        "design": row.pair.design,
        "flavour": row.pair.flavour,
        "good": row.good,
        "buggy": {"fails": row.buggy.fails, "exit": row.buggy.code, "told": row.buggy.told},
        "clean": {"passes": row.clean.passes, "exit": row.clean.code, "told": row.clean.told},
    }
