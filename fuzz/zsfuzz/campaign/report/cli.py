# SPDX-License-Identifier: GPL-2.0-only
"""The command `zsfuzz campaign report`."""

from __future__ import annotations

from pathlib import Path

import click

from zsfuzz.annotate.lcov import tracefile
from zsfuzz.atomic import replace_file
from zsfuzz.campaign.report.data import read_told
from zsfuzz.campaign.report.page import render_page
from zsfuzz.campaign.state import State
from zsfuzz.terminal import one_line

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("directory", type=_FOLDER)
@click.option("--output", type=_FILE, help="The page.  [default: DIRECTORY/report.html]")
@click.option("--lcov", type=_FILE, help="Write the coverage for lcov and genhtml to this file.")
def report(directory: Path, output: Path | None, lcov: Path | None) -> None:
    """Write one page of HTML about a campaign, while it runs or afterwards.

    It has plots over time, all findings, the kernels and their configuration, and mm/zsmalloc.c
    with how often each line and branch was executed.  It loads nothing from anywhere.
    """
    page = output or directory / "report.html"
    with State.read(directory) as state:
        told = read_told(state)
        replace_file(page, render_page(state, told).encode())
    if lcov is not None:
        replace_file(lcov, tracefile(told.sources).encode())
    for path in filter(None, (page, lcov)):
        click.echo(one_line(str(path)))
