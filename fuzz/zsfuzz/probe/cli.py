# SPDX-License-Identifier: GPL-2.0-only
"""The command `zsfuzz kernel probe`."""

from __future__ import annotations

import json

import click
from rich.console import Console

from zsfuzz.kerneloptions import kernel_options
from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS
from zsfuzz.probe.kernel import ask
from zsfuzz.probe.probe import Probed
from zsfuzz.text import format_program
from zsmodel.profile import OPTIONS
from zstools.kernel import KernelSpec, ensure_kernel
from zstools.progress import for_console


@click.command(name="probe")
@kernel_options("plain")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def probe_command(ctx: click.Context, spec: KernelSpec, as_json: bool) -> None:
    """Tell in what a kernel differs lawfully from our series: charges, second writes, and so on.

    Runs a handful of small programs in a guest.  Exit codes: 0 each has an answer that the model
    knows, and with --profile that one, 1 some contradict one another, or no rule, or --profile,
    2 failure of the harness.
    """
    kernel = ensure_kernel(spec, for_console(Console(stderr=True), False))
    found, differences = ask(kernel)
    if as_json:
        click.echo(json.dumps(_facts(found), indent=1))
    else:
        click.echo(_table(found))
    against = differences if spec.profile is not None else []
    for line in against:
        click.echo(f"not as --profile says: this kernel {line}")
    ctx.exit(EXIT_FINDINGS if found.doubts or against else EXIT_CLEAN)


def _state(found: Probed, option: str) -> str:
    if option in found.not_asked:
        return "not asked"
    if any(option in doubt.question.options for doubt in found.doubts):
        return "unclear"
    return found.profile.value(option)


def _table(found: Probed) -> str:
    lines = [
        f"{option:18} {_state(found, option):9} {_meaning(found, option)}" for option in OPTIONS
    ]
    lines += [f"this kernel {line}" for line in found.lines]
    for doubt in found.doubts:
        lines.append(f"this kernel {doubt.text}")
        for program in doubt.programs:
            lines += [f"    {line}" for line in format_program(program).splitlines()]
    lines.append(f"profile: {found.profile}" if found.lines else "profile: default")
    return "\n".join(lines)


def _meaning(found: Probed, option: str) -> str:
    return OPTIONS[option].get(_state(found, option), "")


def _facts(found: Probed) -> dict[str, object]:
    return {
        "profile": str(found.profile) or "default",
        "options": {option: _state(found, option) for option in OPTIONS},
        "differences": found.lines,
        "doubts": [doubt.text for doubt in found.doubts],
    }
