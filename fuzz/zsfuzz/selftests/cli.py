# SPDX-License-Identifier: GPL-2.0-only
"""The command `zsfuzz selftests`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from zsfuzz.errors import HarnessError
from zsfuzz.findings.store import locked_output
from zsfuzz.selftests.compare import CONTROL
from zsfuzz.selftests.programs import DEFAULT, program_of
from zsfuzz.selftests.run import LIMIT, VARIANT, run_selftests
from zsfuzz.selftests.table import as_dict, exit_code_of, render
from zsfuzz.terminal import say
from zsmodel.designs import DESIGNS
from zstools.kernel import FLAVOURS, Kernel, KernelSpec, ensure_kernel
from zstools.progress import BuildProgress, for_console

_FILE = click.Path(path_type=Path, dir_okay=False)
_EXISTING = click.Path(path_type=Path, exists=True, dir_okay=False)
_TREE = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command()
@click.option(
    "--design", "designs", multiple=True, type=click.Choice(tuple(DESIGNS)),
    help=f"Compared with {CONTROL}, which is always run; may be repeated.  [default: all]",
)  # fmt: skip
@click.option(
    "--test", "tests", multiple=True, metavar="FOLDER/NAME",
    help="Program below tools/testing/selftests, such as cgroup/test_kmem; may be repeated.  "
    f"[default: {', '.join(map(str, DEFAULT))}]",
)  # fmt: skip
@click.option("--flavour", type=click.Choice(FLAVOURS), default="plain", show_default=True)
@click.option("--linux", type=_TREE, help="Kernel tree to copy, instead of Debian's source.")
@click.option(
    "--patch", "patches", multiple=True, type=_EXISTING,
    help=f"Patch on top of the designs, but not of {CONTROL}; may be repeated.",
)  # fmt: skip
@click.option(
    "--timeout", "limit", type=click.FloatRange(min=1), default=LIMIT, show_default=True,
    help="Seconds for each program.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("zsfuzz-out"),
    show_default=True, help="What tests and kernels printed goes into selftests/ there.",
)  # fmt: skip
@click.option("--json", "json_file", type=_FILE, help="Write the table to this file as well.")
@click.pass_context
def selftests(
    ctx: click.Context,
    designs: tuple[str, ...],
    tests: tuple[str, ...],
    flavour: str,
    linux: Path | None,
    patches: tuple[Path, ...],
    limit: float,
    output: Path,
    json_file: Path | None,
) -> None:
    """Run the kernel tree's own tests of zswap and zram on each design, side by side with stock.

    Exit codes: 0 all designs are like stock, 1 one differs or a kernel complained, 2 failure of the
    harness, or a program without a result on stock.
    """
    programs = tuple(map(program_of, tests)) or DEFAULT
    chosen = [design for design in designs or tuple(DESIGNS) if design != CONTROL]
    if patches and not chosen:
        raise HarnessError(f"--patch is for designs, and {CONTROL} is none: add --design")
    console = Console(stderr=True)
    progress = for_console(console, False)
    kernels = {CONTROL: _kernel(CONTROL, flavour, linux, (), progress)}
    kernels |= {d: _kernel(d, flavour, linux, patches, progress) for d in chosen}
    with locked_output(output):
        results = run_selftests(
            kernels, programs, output / "selftests", progress,
            lambda line: console.print(line, markup=False, highlight=False), limit,
        )  # fmt: skip
    version = f"Linux {kernels[CONTROL].version}, {kernels[CONTROL].spec.configuration}"
    say(f"{version}\n\n{render(results)}")
    if json_file is not None:
        keys = {design: kernel.key for design, kernel in kernels.items()}
        json_file.write_text(json.dumps({"kernels": keys, **as_dict(results)}, indent=1) + "\n")
    ctx.exit(exit_code_of(results))


def _kernel(
    design: str,
    flavour: str,
    linux: Path | None,
    patches: tuple[Path, ...],
    progress: BuildProgress,
) -> Kernel:
    return ensure_kernel(KernelSpec(design, flavour, linux, patches, (VARIANT,)), progress)
