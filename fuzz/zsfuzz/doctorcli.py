# SPDX-License-Identifier: GPL-2.0-only
"""The command `zsfuzz doctor`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from zsfuzz.doctor import THOROUGH, examine
from zsfuzz.kerneloptions import (
    adapter_option,
    config_option,
    design_option,
    linux_option,
    take_kernels,
)
from zsfuzz.outcome import EXIT_CLEAN, EXIT_HARNESS_ERROR
from zstools.cli import variant_option
from zstools.kernel import KernelSpec, usual_design


@click.command("doctor")
@design_option
@variant_option
@linux_option
@config_option
@adapter_option
@click.pass_context
def doctor_command(
    ctx: click.Context,
    design: str | None,
    variants: tuple[str, ...],
    linux: Path | None,
    config: tuple[Path, ...],
    adapter: Path | None,
) -> None:
    """Check that everything works: coverage, KASAN, and that a planted fault diverges."""
    console, sick = Console(), False
    spec = KernelSpec(usual_design(design, linux), "", linux, (), variants, config, adapter)
    for kernel in take_kernels(("plain", "kasan"), spec):
        for check in examine(kernel, THOROUGH):
            sick |= not check.passed
            verdict = "ok" if check.passed else "FAILED"
            console.print(f"{kernel.spec.flavour:6} {check.name:48} {verdict}", highlight=False)
            console.print(f"       {check.detail}", highlight=False, soft_wrap=True)
            if not check.passed:
                console.print(f"       cure: {check.cure}", highlight=False, soft_wrap=True)
    ctx.exit(EXIT_HARNESS_ERROR if sick else EXIT_CLEAN)
