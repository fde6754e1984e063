# SPDX-License-Identifier: GPL-2.0-only
"""The command line."""

from __future__ import annotations

import json
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from zsfuzz import matrix as matrices
from zsfuzz.annotate.lcov import write_tracefile
from zsfuzz.bench import cost as costs
from zsfuzz.bench import costtable
from zsfuzz.bench.bugs.cli import bugs_command
from zsfuzz.bench.minimise import bench_minimise
from zsfuzz.bench.replay import bench_replay
from zsfuzz.bench.speedcli import bench_speed
from zsfuzz.campaign.cli import campaign as campaign_group
from zsfuzz.corpus.cli import corpus as corpus_group
from zsfuzz.corpus.textfile import to_text
from zsfuzz.corpusfile import load
from zsfuzz.doctor import QUICK, THOROUGH, examine
from zsfuzz.errors import ZsfuzzError
from zsfuzz.findings.store import locked_output
from zsfuzz.kerneloptions import (
    adapter_option,
    config_option,
    design_option,
    linux_option,
    patch_option,
    profile_option,
    take_kernel,
)
from zsfuzz.minimise.cli import minimise as minimise_command
from zsfuzz.mutation.rawbytes import DEFAULT_LIMIT
from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS, EXIT_HARNESS_ERROR
from zsfuzz.probe.cli import probe_command
from zsfuzz.probe.kernel import ask
from zsfuzz.reached.cli import bench_coverage
from zsfuzz.replay.cli import replay as replay_command
from zsfuzz.repro.checkcli import check_reproducers
from zsfuzz.repro.cli import repro as repro_command
from zsfuzz.run import Result, Run, RunOptions, check_corpus
from zsfuzz.selftests.cli import selftests as selftests_command
from zsfuzz.summary import progress_line, render_comparison, render_summary
from zsfuzz.terminal import one_line, say, visible
from zsfuzz.verify.cli import bisect as bisect_command
from zsfuzz.verify.cli import verify as verify_command
from zsmodel.designs import DESIGNS
from zstools.cli import kernel as kernel_group
from zstools.cli import variant_option
from zstools.errors import ZsToolsError
from zstools.kernel import AUTO, FLAVOURS, Kernel, KernelSpec, usual_design
from zstools.progress import for_console

ALL = "all"
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path)


class Failed(click.ClickException):
    """A failure of the harness or of what it was given: exit code 2."""

    exit_code = EXIT_HARNESS_ERROR


class _Group(click.Group):
    """End with exit code 2 whatever goes wrong, since Python's own 1 would mean a finding.

    Our own errors, a failing system call and Ctrl-C before there is a result are one line each.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (ZsfuzzError, ZsToolsError) as error:
            raise Failed(visible(str(error))) from error
        except KeyboardInterrupt:
            raise Failed("interrupted before there was a result") from None
        except OSError as error:
            where = error.filename or "reading or writing failed"
            raise Failed(visible(f"{where}: {(error.strerror or str(error)).lower()}")) from error
        except Exception as error:
            traceback.print_exc()
            raise Failed("this is a fault of zsfuzz itself: please report it") from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Fuzz the kernel's zsmalloc and the memory cgroups that own its objects.

    Exit codes: 0 clean, 1 findings, 2 failure of the harness.
    """


main.add_command(kernel_group)
kernel_group.add_command(probe_command)
main.add_command(selftests_command)
main.add_command(minimise_command)
main.add_command(minimise_command, "minimize")
main.add_command(corpus_group)
main.add_command(campaign_group)
main.add_command(replay_command)
main.add_command(repro_command)
main.add_command(verify_command)
main.add_command(bisect_command)
main.add_command(check_reproducers)


def build_kernels(
    design: str | None,
    flavours: tuple[str, ...],
    linux: Path | None,
    patches: tuple[Path, ...],
    variants: tuple[str, ...] = (),
    config: tuple[Path, ...] = (),
    adapter: Path | None = None,
    profile: str | None = None,
) -> list[Kernel]:
    """Take the kernels from the cache, or build them with a progress bar; probe the first."""
    chosen = usual_design(design, linux)
    kernels: list[Kernel] = []
    for flavour in flavours:
        spec = KernelSpec(chosen, flavour, linux, patches, variants, config, adapter, profile)
        kernels.append(take_kernel(spec))
        profile = kernels[0].spec.profile
    return kernels


# ---- run -------------------------------------------------------------------------------------


@main.command()
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
def run(
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
    options = RunOptions(output, corpus, seconds, operations, seed, length, until_finding)
    if design != ALL:
        kernels = build_kernels(
            design, flavours, linux, patches, variants, config, adapter, profile
        )
        if profile is not None:
            _refuse_other_profile(ctx, kernels[0])
        built = [kernels]
        results = [result := _run_one(kernels, options)]
        Console().print(render_summary(result))
        facts, troubled = result.as_dict(), result.troubled
    else:
        if seconds is None and operations is None:
            raise click.UsageError("--design all runs each in turn: give --time or --operations")
        built = [
            build_kernels(name, flavours, linux, patches, variants, config, adapter, profile)
            for name in DESIGNS
        ]
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
    differences = ask(kernel)[1]
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
        _refuse_if_sick(kernel)
    return _run_with_progress(kernels, options)


def _refuse_if_sick(kernel: Kernel) -> None:
    bad = [check for check in examine(kernel, QUICK) if not check.passed]
    if bad:
        lines = "\n".join(f"  {check.name}: {check.detail}: {check.cure}" for check in bad)
        raise Failed(f"this set-up does not work (all checks: `zsfuzz doctor`):\n{lines}")


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


# ---- doctor ----------------------------------------------------------------------------------


@main.command()
@design_option
@variant_option
@linux_option
@config_option
@adapter_option
@click.pass_context
def doctor(
    ctx: click.Context,
    design: str | None,
    variants: tuple[str, ...],
    linux: Path | None,
    config: tuple[Path, ...],
    adapter: Path | None,
) -> None:
    """Check that everything works: coverage, KASAN, and that a planted fault diverges."""
    console, sick = Console(), False
    flavours = ("plain", "kasan")
    for kernel in build_kernels(design, flavours, linux, (), variants, config, adapter):
        for check in examine(kernel, THOROUGH):
            sick |= not check.passed
            verdict = "ok" if check.passed else "FAILED"
            console.print(f"{kernel.spec.flavour:6} {check.name:48} {verdict}", highlight=False)
            console.print(f"       {check.detail}", highlight=False, soft_wrap=True)
            if not check.passed:
                console.print(f"       cure: {check.cure}", highlight=False, soft_wrap=True)
    ctx.exit(EXIT_HARNESS_ERROR if sick else EXIT_CLEAN)


# ---- matrix ----------------------------------------------------------------------------------


@main.command()
@click.option(
    "--design", "designs", multiple=True, type=click.Choice(tuple(DESIGNS)),
    help="May be repeated.  [default: all]",
)  # fmt: skip
@click.option(
    "--variant", "variants", multiple=True, metavar="NAME",
    help="Such as chain-16, or default; may be repeated.  "
    f"[default: all but {' and '.join(matrices.MEANS)}]",
)  # fmt: skip
@click.option("--flavour", type=click.Choice(FLAVOURS), default="plain", show_default=True)
@linux_option
@click.option(
    "--programs", type=click.IntRange(min=0), default=matrices.PROGRAMS, show_default=True,
    help="Mutated programs for each combination, besides the seeds.",
)  # fmt: skip
@click.option("--output", type=FOLDER, default=Path("zsfuzz-out"), show_default=True)
@click.option("--json", "json_file", type=FILE, help="Write the table to this file as well.")
@click.pass_context
def matrix(
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
    known = matrices.all_variants()
    if unknown := [name for name in variants if name not in known]:
        raise Failed(f"no variant {unknown[0]!r}: there is {', '.join(known)}")
    console = Console(stderr=True)
    chosen = variants or matrices.usual_variants()
    specs = matrices.specs_of(designs or tuple(DESIGNS), chosen, flavour, linux)
    with locked_output(output):
        rows = matrices.run_matrix(
            specs, programs, output, for_console(console, False),
            lambda row: console.print(matrices.line_of(row), markup=False, soft_wrap=True),
        )  # fmt: skip
    click.echo(matrices.render_matrix(rows))
    if json_file is not None:
        json_file.write_text(json.dumps([row.as_dict() for row in rows], indent=1) + "\n")
    ctx.exit(matrices.exit_code_of(rows))


# ---- bench -----------------------------------------------------------------------------------


@main.group()
def bench() -> None:
    """Measure how good and how fast it is."""


bench.add_command(bugs_command)


@bench.command()
@linux_option
@click.option("--rounds", type=click.IntRange(min=1), default=15, show_default=True,
              help="Times that each design is timed; the median counts.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def cost(linux: Path | None, rounds: int, as_json: bool) -> None:
    """Measure what each design costs beside stock: bytes of ownership, and time."""
    kernels = [build_kernels(design, ("plain",), linux, ())[0] for design in DESIGNS]
    figures = costs.measure_cost(kernels, rounds)
    if as_json:
        click.echo(json.dumps(costtable.cost_as_dict(figures), indent=1))
    else:
        Console(width=160).print(costtable.render_cost(figures))


bench.add_command(bench_minimise)
bench.add_command(bench_replay)
bench.add_command(bench_speed)
bench.add_command(bench_coverage)


# ---- show --------------------------------------------------------------------------------------


@main.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
def show(files: tuple[Path, ...]) -> None:
    """Print saved programs as text, with what they are for."""
    failed = False
    for path in files:
        try:
            entry = load(path)
        except ZsfuzzError as error:
            say(f"error: {error}", err=True)
            failed = True
            continue
        say(f"# {one_line(str(path))}\n{to_text(entry)}")
    if failed:
        sys.exit(EXIT_HARNESS_ERROR)


if __name__ == "__main__":
    main()
