# SPDX-License-Identifier: GPL-2.0-only
"""The command `zsfuzz minimise`."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from zsfuzz.atomic import make_directory, replace_file
from zsfuzz.boot import boot
from zsfuzz.corpusfile import SUFFIX, Entry, load, pack
from zsfuzz.findings.finding import Finding
from zsfuzz.findings.followup import first_account, full_account
from zsfuzz.findings.verdict import Boot
from zsfuzz.kerneloptions import as_saved, kernel_options, take_kernel
from zsfuzz.manifest import finding_manifest, profile_to_save
from zsfuzz.minimise.limit import Limit
from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS, Outcome
from zsfuzz.report.plaintext import render
from zsfuzz.runner import Runner
from zsfuzz.terminal import say
from zsmodel import Model
from zstools.kernel import FLAVOURS, Kernel, KernelSpec, find_kernel

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=_FILE)
@kernel_options("kasan")
@click.option(
    "--output", type=_FILE, help="Where the small program goes.  [default: FILE's name, with .min]"
)
@click.option(
    "--time", "seconds", type=click.FloatRange(min=0, min_open=True),
    help="Seconds to look for something simpler.  [default: to the end, or until Ctrl-C]",
)  # fmt: skip
@click.pass_context
def minimise(
    ctx: click.Context,
    file: Path,
    spec: KernelSpec,
    output: Path | None,
    seconds: float | None,
) -> None:
    """Find the simplest program that shows what FILE shows, and report it.

    Ctrl-C or SIGTERM ends the search with the best program so far.  Other flavours of the kernel
    that are in the cache are tried with the result.  Exit codes: 0 FILE shows nothing, 1 there is
    a finding, 2 failure of the harness.
    """
    entry = load(file)
    console = Console(stderr=True)
    output = output or file.with_name(f"{file.name.removesuffix(SUFFIX)}.min{SUFFIX}")
    make_directory(output.parent)
    kernel = take_kernel(as_saved(spec, file))
    with tempfile.TemporaryDirectory(prefix="zsfuzz-minimise-") as work:
        others = _other_guests(kernel.spec, Path(work))
        with boot(kernel, Path(work) / "console") as machine, interruptible() as asked:
            runner = Runner(machine, Model(machine.kernel))
            with console.status("minimising; Ctrl-C: take the best so far"):
                found = _find(runner, entry, kernel, Limit(seconds, asked), others)
    if found is None:
        say(f"{file}: kernel and model agree, there is nothing to minimise")
        ctx.exit(EXIT_CLEAN)
    say(render(found, output if found.minimised else file))
    if found.minimised:  # after the report: it has the program if the disk is full
        note = f"{found.outcome.value}: {found.title}"
        profile = profile_to_save(kernel.spec)
        told = {"profile": profile} if profile else {}
        extra = {**entry.extra, **told}
        replace_file(output, pack(Entry(found.program, note, kernel.spec.design, extra)))
    ctx.exit(EXIT_FINDINGS)


def _other_guests(spec: KernelSpec, work: Path) -> dict[str, Boot]:
    specs = [replace(spec, flavour=flavour) for flavour in FLAVOURS if flavour != spec.flavour]
    built = {other.flavour: kernel for other in specs if (kernel := find_kernel(other))}
    return {
        flavour: partial(boot, kernel, work / f"console-{flavour}")
        for flavour, kernel in built.items()
    }


def _find(
    runner: Runner, entry: Entry, kernel: Kernel, limit: Limit, others: dict[str, Boot]
) -> Finding | None:
    trouble = runner.run_and_audit(entry.program.wire)
    if trouble is None:
        return None
    finding = first_account(
        runner, trouble, limit.asked,
        kernel=finding_manifest(kernel),
        seed=_seed_of(entry),
        flavours=(kernel.spec.flavour,),
    )  # fmt: skip
    if finding.outcome is Outcome.FLAKY:
        return finding
    return full_account(runner, finding, trouble, limit, others)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C or SIGTERM be a question that the search looks at; the second kills."""
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        asked = True
        restore()

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        restore()


def _seed_of(entry: Entry) -> int:
    seed = entry.extra.get("seed")
    return seed if type(seed) is int else 0
