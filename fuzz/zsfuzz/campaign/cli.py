# SPDX-License-Identifier: GPL-2.0-only
"""The commands `zsfuzz campaign start`, `status` and `stop`; `report` is in report/cli.py."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console

from zsfuzz.campaign.layout import Layout
from zsfuzz.campaign.options import DEFAULT, FAULTS, Options
from zsfuzz.campaign.report.cli import report
from zsfuzz.campaign.restoring import last_options
from zsfuzz.campaign.session import Session, run_session
from zsfuzz.campaign.state import State
from zsfuzz.campaign.status import read_status
from zsfuzz.campaign.stopping import stop as stop_campaign
from zsfuzz.campaign.view import render
from zsfuzz.errors import HarnessError
from zsfuzz.findings.store import locked_output
from zsfuzz.kerneloptions import linux_option, patch_option, take_kernel
from zsfuzz.mutation.rawbytes import DEFAULT_LIMIT
from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS
from zsfuzz.run import check_corpus
from zsmodel.designs import DESIGNS
from zstools.kernel import FLAVOURS
from zstools.paths import begin_dirs
from zstools.plan import find_variants

FOLDER = click.Path(path_type=Path, file_okay=False)
ALL = "all"
WIDE = 200  # characters in a line where there is no terminal


@click.group()
def campaign() -> None:
    """Fuzz for days on many cores: lose nothing, watch it, go on after any kill."""


campaign.add_command(report)


def _names(known: Callable[[], tuple[str, ...]]) -> Callable[..., tuple[str, ...]]:
    """Take a list of names with commas, given once or more often."""

    def split(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> Any:
        names = [name.strip() for part in given for name in part.split(",")]
        if ALL in names:
            return known()
        for name in names:
            if name not in known():
                raise click.BadParameter(f"no {name!r}: there is {', '.join(known())}")
        return tuple(dict.fromkeys(names))

    return split


def _lists(*names: str, known: Callable[[], tuple[str, ...]], text: str) -> Callable[..., Any]:
    return click.option(
        *names, multiple=True, metavar="NAME,...", callback=_names(known), help=text
    )


@campaign.command()
@click.argument("directory", type=FOLDER)
@_lists("--designs", "--design", "designs", known=lambda: tuple(DESIGNS),
        text="Designs to fuzz, or all.  [default: zspage]")  # fmt: skip
@_lists("--flavours", "--flavour", "flavours", known=lambda: FLAVOURS,
        text="plain, kasan, lockdep, or all.  [default: plain,kasan]")  # fmt: skip
@_lists("--variants", "--variant", "variants", known=lambda: (DEFAULT, *find_variants()),
        text="Variants such as chain-4,chain-16,default.  [default: default]")  # fmt: skip
@_lists("--faults", "faults", known=lambda: FAULTS,
        text="Fault injection: usual, many.  [default: both in turn]")  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1),
              help="Workers at the same time.  [default: one for each two CPUs]")  # fmt: skip
@click.option("--time", "seconds", type=click.FloatRange(min=0, min_open=True),
              help="Seconds to run now.  [default: until `campaign stop` or Ctrl-C]")  # fmt: skip
@click.option("--slice", "slice_seconds", type=click.FloatRange(min=1), default=120.0,
              show_default=True, help="Seconds of a worker's turn in the schedule.")  # fmt: skip
@click.option("--stall", "stall_seconds", type=click.FloatRange(min=1), default=120.0,
              show_default=True,
              help="Seconds without a program after which a worker is replaced.")  # fmt: skip
@click.option("--reserve", type=click.IntRange(min=0), default=64, show_default=True,
              help="MiB of free disk below which workers wait.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True)
@click.option("--length", "max_operations", type=click.IntRange(1, 1024), default=DEFAULT_LIMIT,
              show_default=True, help="Most operations in one program.")  # fmt: skip
@linux_option
@patch_option
@click.option("--corpus", multiple=True, type=FOLDER,
              help="Programs to begin with; may be repeated.")  # fmt: skip
@click.option("--scheduler", metavar="ADDRESS",
              help="Run the workers as tasks of this Dask scheduler; '' for none.")  # fmt: skip
@click.option("--exchange", metavar="URL",
              help="Where these tasks put what they find (fsspec).")  # fmt: skip
@click.option("--prometheus", type=click.IntRange(0, 65535), metavar="PORT",
              help="Serve metrics on this port of 127.0.0.1.")  # fmt: skip
@click.pass_context
def start(
    ctx: click.Context,
    /,
    directory: Path,
    seconds: float | None,
    prometheus: int | None,
    **given: Any,
) -> None:
    """Start a campaign in DIRECTORY, or go on with it: in the foreground, until it is stopped.

    A later start has the options of the last one, but for those that it is given anew.
    """
    check_corpus(given["corpus"])
    directory = directory.absolute()
    with locked_output(directory):
        options = _options(ctx, directory, given)
        kernels = [take_kernel(spec) for spec in options.specs]
        session = Session(directory, options, tuple(kernels), seconds)
        try:
            status = run_session(session, prometheus, Console(stderr=True))
        except sqlite3.OperationalError as error:
            raise HarnessError(
                f"{Layout(directory).database}: {error}: free some space, or end who holds it"
            ) from error
    _print_status(directory)
    ctx.exit(EXIT_FINDINGS if status["findings"] else EXIT_CLEAN)


def _options(ctx: click.Context, directory: Path, given: dict[str, Any]) -> Options:
    """Begin with the options of the last start, if there was one."""
    last = _last_options(directory)
    options = last or Options(jobs=default_jobs(), corpus=_seeds())
    facts = given | {
        "linux": str(given["linux"].absolute()) if given["linux"] else None,
        "patches": tuple(str(path.absolute()) for path in given["patches"]),
        "corpus": tuple(str(path.absolute()) for path in given["corpus"]),
    }
    named = {
        field.name: facts[field.name]
        for field in fields(Options)
        if ctx.get_parameter_source(field.name) is ParameterSource.COMMANDLINE
    }
    return _check(replace(options, **named))


def _check(options: Options) -> Options:
    """Refuse what cannot work before kernels are built for it."""
    if not options.scheduler:
        if options.exchange:
            raise click.BadParameter("it takes a --scheduler", param_hint="--exchange")
        return replace(options, scheduler=None, exchange=None)
    if find_spec("distributed") is None:
        raise HarnessError("--scheduler takes Dask: run pip install 'zsfuzz[distributed]'")
    return options


def default_jobs() -> int:
    """Count the workers that the CPUs can take: model and guest poll each other on one CPU each."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def _seeds() -> tuple[str, ...]:
    return tuple(str(folder) for folder in begin_dirs() if folder.is_dir())


def _last_options(directory: Path) -> Options | None:
    layout = Layout(directory)
    if not layout.database.exists() and not layout.totals.exists():
        return None
    with State.write(directory) as state:  # a damaged database is set aside now
        text = last_options(state)
    return Options.from_json(text) if text else None


@campaign.command()
@click.argument("directory", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(directory: Path, as_json: bool) -> None:
    """Tell how the campaign in DIRECTORY is doing, while it runs, after its end or a kill."""
    if as_json:
        click.echo(json.dumps(read_status(directory), indent=1))
    else:
        _print_status(directory)


def _print_status(directory: Path) -> None:
    found = read_status(directory)
    with State.read(directory) as state:
        terminal = Console().is_terminal
        console = Console() if terminal else Console(width=WIDE)
        title = f"campaign {directory}: {found['state']}"
        console.print(title, highlight=False, soft_wrap=True, markup=False)
        console.print(render(found, state))


@campaign.command()
@click.argument("directory", type=FOLDER)
def stop(directory: Path) -> None:
    """Ask the campaign in DIRECTORY to end, and wait until it has; clean up after a killed one."""
    click.echo(f"campaign {directory}: {stop_campaign(directory.absolute())}")
