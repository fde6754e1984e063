# SPDX-License-Identifier: GPL-2.0-only
"""The commands `zsfuzz verify` and `zsfuzz bisect`."""

from __future__ import annotations

import hashlib
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from zsfuzz.boot import boot
from zsfuzz.errors import ZsfuzzError
from zsfuzz.findings.followup import finding_of
from zsfuzz.findings.store import locked_output
from zsfuzz.kerneloptions import as_saved, kernel_options, take_kernel
from zsfuzz.manifest import finding_manifest
from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS
from zsfuzz.report.plaintext import render
from zsfuzz.verify.bisection import Bisection, Culprit
from zsfuzz.verify.cannotshow import (
    ANYWHERE,
    IN_HISTORY,
    describe,
    other_design,
    refuse_blind,
)
from zsfuzz.verify.checkout import Checkout
from zsfuzz.verify.saved import SavedFinding, load_finding
from zsfuzz.verify.trial import Trial, attempt
from zstools.kernel import AUTO, Kernel, KernelSpec, usual_design
from zstools.paths import cache_dir

_PATH = click.Path(path_type=Path)
_RUNS = 10


@click.command()
@click.argument("finding", type=_PATH)
@kernel_options(None)
@click.option(
    "--runs", type=click.IntRange(min=1), default=_RUNS, show_default=True,
    help="How often to run the program, each time on a fresh guest.",
)  # fmt: skip
@click.pass_context
def verify(ctx: click.Context, finding: Path, spec: KernelSpec, runs: int) -> None:
    """Tell whether a kernel still has FINDING, a saved finding's folder or its program file.

    Design, flavour and variants are those on which it was found, unless given.  Exit codes: 0 it
    does not show, 1 it does, or something else does, 2 it could not show there, as on a kernel
    without owners, or failure of the harness.
    """
    saved = load_finding(finding)
    kernel = take_kernel(spec_for(spec, saved))
    trial = _try(kernel, saved, saved.title, runs)
    if trial.clean:
        reasons = ANYWHERE if spec.design else (*ANYWHERE, other_design)
        refuse_blind(saved, kernel, trial.kernel, reasons)
    click.echo(f"{_named(saved)}\n  {trial}, on {describe(kernel)}")
    if trial.trouble is not None:
        click.echo(f"\n{_report(trial, kernel, saved)}", nl=False)
    ctx.exit(EXIT_CLEAN if trial.clean else EXIT_FINDINGS)


@click.command()
@click.argument("finding", type=_PATH)
@kernel_options(None)
@click.argument("good")
@click.argument("bad")
@click.option(
    "--runs", type=click.IntRange(min=1),
    help="How often to run the program on each commit, until it shows.  "
    "[default: 3; more if the finding did not come again each time]",
)  # fmt: skip
@click.pass_context
def bisect(
    ctx: click.Context, finding: Path, spec: KernelSpec, good: str, bad: str, runs: int | None
) -> None:
    """Find the commit between GOOD and BAD that brought FINDING into the tree --linux.

    The tree itself is not touched: commits are checked out and built in the cache.  What does not
    build, does not boot, shows something else or cannot show it is skipped.  Exit codes: 1 the
    commit was found, or those that it may be, 2 there is nothing to find between the two, or the
    harness failed.
    """
    saved = load_finding(finding)
    spec = spec_for(spec, saved)
    if spec.linux is None:
        raise click.UsageError("--linux is needed: the git tree in which GOOD and BAD are")
    place = (
        cache_dir() / "bisect" / hashlib.sha256(str(spec.linux.resolve()).encode()).hexdigest()[:8]
    )
    with locked_output(place):
        checkout = Checkout(spec.linux, place / "tree")
        ends = checkout.resolve(good), checkout.resolve(bad)
        reports: dict[str, str] = {}
        here = replace(spec, linux=checkout.tree)

        def test(title: str) -> Trial:
            begun = time.monotonic()
            kernel = take_kernel(here)
            click.echo(f"  built in {time.monotonic() - begun:.0f} s", err=True)
            trial = _try(kernel, saved, title, runs or saved.runs, enough=1)
            if trial.clean:
                refuse_blind(saved, kernel, trial.kernel, IN_HISTORY)
            # Now: the next commit is built in the same place.
            reports[checkout.head()] = _report(trial, kernel, saved)
            return trial

        bisection = Bisection(checkout, test, click.echo, saved.title)
        culprit = bisection.find(*ends)
        click.echo(f"\n{_conclude(culprit, checkout, reports)}", nl=False)
    ctx.exit(EXIT_FINDINGS)


def spec_for(spec: KernelSpec, saved: SavedFinding) -> KernelSpec:
    """Fill in from the finding what was not given; raises ZsfuzzError for what nobody told."""
    in_tree = usual_design(None, spec.linux) == AUTO
    # Our series goes on top again: without it, nothing of the finding could show.
    usual = AUTO if in_tree and not saved.is_of_our_series else saved.design
    design = spec.design or usual
    if not design:
        raise ZsfuzzError(f"{saved.program_file} does not say its design: give --design")
    flavour = spec.flavour or saved.flavour or "plain"
    filled = replace(
        spec,
        design=design,
        flavour=flavour,
        variants=spec.variants or saved.variants,
        config=spec.config or saved.fragments,
        adapter=spec.adapter or saved.adapter,
    )
    for path in (*filled.config, *([filled.adapter] if filled.adapter else ())):
        if not path.is_file():
            raise ZsfuzzError(
                f"{path}, with which it was found, is not there: give --config or --adapter"
            )
    return as_saved(filled, saved.program_file)


def _try(
    kernel: Kernel, saved: SavedFinding, title: str, runs: int, enough: int | None = None
) -> Trial:
    with tempfile.TemporaryDirectory(prefix="zsfuzz-verify-") as work:
        start = partial(boot, kernel, Path(work) / "console")
        return attempt(start, saved.entry.program.wire, title, runs, enough=enough)


# ---- what is said about it -------------------------------------------------------------------


def _named(saved: SavedFinding) -> str:
    return f"{saved.program_file}: {saved.title or 'program without a title'}"


def _report(trial: Trial, kernel: Kernel, saved: SavedFinding) -> str:
    if trial.trouble is None:
        return ""
    finding = finding_of(
        trial.trouble,
        kernel=finding_manifest(kernel),
        seed=saved.entry.extra.get("seed", 0),
        flavours=(kernel.spec.flavour,),
        reproduced=(trial.hits, trial.runs),
    )
    return render(finding, saved.program_file)


def _conclude(culprit: Culprit, checkout: Checkout, reports: dict[str, str]) -> str:
    skipped = f"{len(culprit.skipped)} commits were skipped\n" if culprit.skipped else ""
    if len(culprit.commits) != 1:
        listed = "".join(f"  {commit}\n" for commit in culprit.commits)
        return f"first bad commit: one of these, which cannot be told apart\n{listed}{skipped}"
    commit = culprit.commits[0]
    before = str(culprit.before) if culprit.before else "not tested"
    after = culprit.after
    return (
        f"first bad commit: {commit.id}\n  {commit.subject}\n  {commit.author}, {commit.date}\n"
        f"{_indented(checkout.files(commit.id))}\n{skipped}\n"
        f"before: {before}\nafter: {after or 'not tested'}\n\n{reports.get(commit.id, '')}"
    )


def _indented(text: str) -> str:
    return "\n".join(f"  {line.rstrip()}" for line in text.splitlines())
