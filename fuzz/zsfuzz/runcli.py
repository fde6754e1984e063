# SPDX-License-Identifier: GPL-2.0-only
"""The command `zsfuzz run`."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from zsfuzz.annotate.lcov import write_tracefile
from zsfuzz.bootfailure import save_boot_failure
from zsfuzz.coverage import CoverageMap
from zsfuzz.doctor import QUICK, boot_and_probe
from zsfuzz.errors import BootFailed, HarnessError
from zsfuzz.findings.store import SUMMARY, locked_output
from zsfuzz.kerneloptions import (
    adapter_option,
    config_option,
    linux_option,
    patch_option,
    profile_option,
    take_kernels,
)
from zsfuzz.mutation.rawbytes import DEFAULT_LIMIT
from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS
from zsfuzz.probe.kernel import ask
from zsfuzz.run import Result, Run, RunOptions, check_corpus, describe_finding
from zsfuzz.summary import progress_line, render_comparison, render_summary
from zsfuzz.workerconfig import worker_config
from zsmodel.designs import DESIGNS
from zstools.cli import variant_option
from zstools.kernel import AUTO, FLAVOURS, Kernel, KernelSpec, usual_design

ALL = "all"
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path)


@click.command("run")
@click.option(
    "--design", type=click.Choice((*DESIGNS, AUTO, ALL)),
    help="Where object owners are kept; stock: unpatched; auto: as it is in the tree; "
    "all: each in turn.  [default: zspage; auto with --linux]",
)  # fmt: skip
@click.option(
    "--flavour", type=click.Choice((*FLAVOURS, "both")), default="both", show_default=True,
    help="Kernel to explore on; both: explore on plain, check what is new on kasan.",
)  # fmt: skip
@variant_option
@linux_option
@patch_option
@config_option
@adapter_option
@profile_option
@click.option(
    "--time",
    "seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds to fuzz, for each design.  [default: until Ctrl-C]",
)
@click.option("--operations", type=click.IntRange(min=1), help="Stop after so many operations.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True)
@click.option(
    "--length",
    type=click.IntRange(1, 1024),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="Most operations in one program.",
)
@click.option(
    "--corpus", multiple=True, type=FOLDER, help="Programs to begin with; may be repeated."
)
@click.option(
    "--output",
    type=FOLDER,
    default=Path("zsfuzz-out"),
    show_default=True,
    help="Where findings and the corpus go; an earlier corpus there is used again.",
)
@click.option("--until-finding", is_flag=True, help="Stop at the first finding.")
@click.option("--json", "json_file", type=FILE, help="Write the summary to this file as well.")
@click.option("--lcov", type=FILE, help="Write the coverage for lcov and genhtml to this file.")
@click.pass_context
def run_command(
    ctx: click.Context,
    design: str | None,
    flavour: str,
    variants: tuple[str, ...],
    linux: Path | None,
    patches: tuple[Path, ...],
    config: tuple[Path, ...],
    adapter: Path | None,
    profile: str | None,
    seconds: float | None,
    operations: int | None,
    seed: int,
    length: int,
    corpus: tuple[Path, ...],
    output: Path,
    until_finding: bool,
    json_file: Path | None,
    lcov: Path | None,
) -> None:
    """Fuzz: run programs on the kernel and on the model, and save where they differ."""
    check_corpus(corpus)
    flavours = ("plain", "kasan") if flavour == "both" else (flavour,)
    spec = KernelSpec("", "", linux, patches, variants, config, adapter, profile)
    options = RunOptions(output, corpus, seconds, operations, seed, length, until_finding)
    if design != ALL:
        kernels = take_kernels(flavours, replace(spec, design=usual_design(design, linux)))
        if profile is not None:
            _refuse_other_profile(ctx, kernels[0])
        built = [kernels]
        results = [result := _run_one(kernels, options)]
        Console().print(render_summary(result))
        facts, troubled = result.as_dict(), result.troubled
    else:
        if seconds is None and operations is None:
            raise click.UsageError("--design all runs each in turn: give --time or --operations")
        built = [take_kernels(flavours, replace(spec, design=name)) for name in DESIGNS]
        results = _run_all(built, options)
        Console().print(render_comparison(results))
        facts = {"designs": {result.design: result.as_dict() for result in results}}
        troubled = any(result.troubled for result in results)
    if json_file is not None:
        json_file.write_text(json.dumps(facts, indent=1) + "\n")
    if lcov is not None:
        explored = zip(built, results, strict=False)  # a run that was stopped has no later ones
        write_tracefile(lcov, [(kernels[0], result.hits) for kernels, result in explored])
    ctx.exit(EXIT_FINDINGS if troubled else EXIT_CLEAN)


def _refuse_other_profile(ctx: click.Context, kernel: Kernel) -> None:
    """End with a line for each difference if a kernel is not as the given profile says."""
    try:
        differences = ask(kernel)[1]
    except BootFailed:  # which the run will report
        return
    for line in differences:
        click.echo(f"not as --profile says: this kernel {line}")
    if differences:
        ctx.exit(EXIT_FINDINGS)


def _run_all(built: list[list[Kernel]], options: RunOptions) -> list[Result]:
    """Run one design after the other, until one is stopped or has what was waited for."""
    results: list[Result] = []
    for kernels in built:
        result = _run_one(kernels, options.within(kernels[0].spec.design))
        results.append(result)
        if result.stopped or (options.until_finding and result.findings):
            break
    return results


def _run_one(kernels: list[Kernel], options: RunOptions) -> Result:
    for kernel in kernels:
        try:
            _refuse_if_sick(kernel)
        except BootFailed as error:
            return _save_boot_failure(kernel, options, error)
    return _run_with_progress(kernels, options)


def _save_boot_failure(kernel: Kernel, options: RunOptions, error: BootFailed) -> Result:
    """Make a finding of a kernel that complains before the first program, instead of a run."""
    output = options.output.absolute()
    with locked_output(output), tempfile.TemporaryDirectory(prefix="zsfuzz-boot-") as work:
        config = worker_config(kernel, name="boot", role="explore", work=Path(work), output=output)
        found = describe_finding(save_boot_failure(config, error) / SUMMARY)
    coverage = CoverageMap(kernel.layout)
    return Result(
        design=kernel.spec.design, flavours=(kernel.spec.flavour,), version=kernel.version,
        seconds=0.0, stats={}, coverage=coverage.measure([0] * len(coverage.pcs)),
        findings=(found,), output=str(output), profile=kernel.spec.profile or "",
        boot_failed=True,
    )  # fmt: skip


def _refuse_if_sick(kernel: Kernel) -> None:
    bad = [check for check in boot_and_probe(kernel, QUICK) if not check.passed]
    if bad:
        lines = "\n".join(f"  {check.name}: {check.detail}: {check.cure}" for check in bad)
        raise HarnessError(f"this set-up does not work (all checks: `zsfuzz doctor`):\n{lines}")


def _run_with_progress(kernels: list[Kernel], options: RunOptions) -> Result:
    console = Console(stderr=True)
    first = Text("starting the guests")
    with Live(first, console=console, auto_refresh=False, transient=True) as live:
        show = _shower(console, live)
        fuzzing = Run(kernels, options, lambda p: show(progress_line(p, len(fuzzing.map.pcs))))
        previous = signal.signal(signal.SIGINT, lambda *_: fuzzing.stop())
        terminate = signal.signal(signal.SIGTERM, lambda *_: fuzzing.stop())
        try:
            return fuzzing.run()
        finally:
            signal.signal(signal.SIGINT, previous)
            signal.signal(signal.SIGTERM, terminate)


def _shower(console: Console, live: Live) -> Callable[[str], None]:
    """Show a live line on a terminal, and a plain line every 10 seconds elsewhere."""
    ticks = 0

    def show(line: str) -> None:
        nonlocal ticks
        if console.is_terminal:
            live.update(Text(line), refresh=True)
        elif ticks % 20 == 0:
            console.print(line, highlight=False, soft_wrap=True)
        ticks += 1

    return show
