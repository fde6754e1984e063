# SPDX-License-Identifier: GPL-2.0-only
"""The command `zsfuzz replay`."""

from __future__ import annotations

from pathlib import Path

import click

from zsfuzz.atomic import replace_file
from zsfuzz.kerneloptions import as_saved, kernel_options, take_kernel
from zsfuzz.replay.formats import to_json, to_junit, to_ktap, to_text
from zsfuzz.replay.run import Shard
from zsfuzz.replay.run import replay as run_replay
from zsfuzz.replay.verdict import FEW, ReplayReport
from zsfuzz.terminal import say
from zstools.kernel import KernelSpec

_FILE = click.Path(path_type=Path)
FORMATS = ("text", "junit", "ktap", "json")


class _ShardType(click.ParamType):  # type: ignore[type-arg]
    name = "K/N"

    def convert(
        self, value: str | Shard, param: click.Parameter | None, ctx: click.Context | None
    ) -> Shard:
        if isinstance(value, Shard):
            return value
        number, _, count = value.partition("/")
        if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
            return Shard(int(number), int(count))
        return self.fail(f"{value!r}: give K/N, such as 1/4, with K from 1 to N", param, ctx)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=_FILE)
@kernel_options(flavour="kasan")
@click.option(
    "--times", type=click.IntRange(min=1), default=1, show_default=True,
    help="How often to run each program.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True,
    help="junit: XML for most CI services; ktap: for the kernel's tools.",
)  # fmt: skip
@click.option("--output", type=_FILE, help="Write the report to this file, a summary to stdout.")
@click.option("--shard", type=_ShardType(), default="1/1", help="Run only part K of N.")
@click.option(
    "--jobs", type=click.IntRange(min=1),
    help="Guests at a time.  [default: CPUs and one, fewer if their memory does not fit /dev/shm]",
)  # fmt: skip
@click.pass_context
def replay(
    ctx: click.Context,
    paths: tuple[Path, ...],
    spec: KernelSpec,
    times: int,
    form: str,
    output: Path | None,
    shard: Shard,
    jobs: int | None,
) -> None:
    """Run saved programs (files, or folders of them) again and say how each ends.

    Exit codes: 0 all agree, 1 some do not, 2 the harness failed, a file cannot be used, or some are
    undecided and all others agree.
    """
    report = run_replay(take_kernel(as_saved(spec, *paths)), paths, times, shard, jobs)
    text = _render(report, form)
    if output is None:
        say(text, nl=False)
    else:
        replace_file(output, text.encode(errors="replace"))
        say(report.last_line)
    for bad in (*report.errors, *report.failures):
        say(f"error: {bad}", err=True)
    for complaint in report.complaints:
        say(f"a guest does not get ready, as its kernel complains: {complaint}", err=True)
    ctx.exit(report.exit_code)


def _render(report: ReplayReport, form: str) -> str:
    if form == "text":
        return to_text(report, FEW)
    return {"junit": to_junit, "ktap": to_ktap, "json": to_json}[form](report)
