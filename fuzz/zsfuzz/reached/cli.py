# SPDX-License-Identifier: GPL-2.0-only
"""The command `zsfuzz bench coverage`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from zsfuzz.kerneloptions import design_option, linux_option, take_kernel
from zsfuzz.reached.counters import VARIANT
from zsfuzz.reached.lines import Lines, totals
from zsfuzz.reached.measure import Reached, fuzz, selftests
from zsfuzz.reached.reasons import load_reasons, reached, unreached
from zsfuzz.selftests.run import VARIANT as TESTS
from zstools.kbuild import COUNTED
from zstools.kernel import Kernel, KernelSpec, usual_design
from zstools.progress import for_console

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command("coverage")
@design_option
@linux_option
@click.option("--time", "times", multiple=True, type=click.FloatRange(min=1),
              default=(60.0, 600.0, 3600.0), show_default=True,
              help="Seconds of fuzzing after which to count; may be repeated.")  # fmt: skip
@click.option("--corpus", multiple=True, type=_FOLDER, help="Programs to begin with.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True)
@click.option("--selftests/--no-selftests", "tests", default=True, show_default=True,
              help="Count what the kernel's own tests of zswap and zram reach, too.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench_coverage(
    design: str | None,
    linux: Path | None,
    times: tuple[float, ...],
    corpus: tuple[Path, ...],
    seed: int,
    tests: bool,
    as_json: bool,
) -> None:
    """Count lines and branches reached after some time, beside those of the kernel's own tests."""
    kernel = take_kernel(
        KernelSpec(usual_design(design, linux), "plain", linux, (), (TESTS, VARIANT))
    )
    found = fuzz(kernel, times, seed, corpus)
    if tests:
        found.append(selftests(kernel, for_console(Console(stderr=True), False)))
    last = [one for one in found if one.name.startswith("fuzzer")][-1]
    if as_json:
        click.echo(json.dumps(as_dict(kernel, found, last.lines), indent=1))
    else:
        Console(width=160, highlight=False, markup=False).print(render(kernel, found, last.lines))


def as_dict(kernel: Kernel, found: Sequence[Reached], last: Lines) -> dict[str, object]:
    """Give all of it as plain data; totals by file, and each line that fuzzing did not reach."""
    reasons = load_reasons()
    rows = [
        {
            "file": key[0], "function": key[1], "line": number, "text": key[2],
            "reason": reason.text if (reason := reasons.of(key)) else None,
        }
        for key, number in unreached(last, kernel.source).items()
    ]  # fmt: skip
    return {
        "kernel": kernel.version,
        "design": kernel.spec.design,
        "reached": [
            {
                "by": one.name, "seconds": round(one.seconds, 1), "programs": one.programs,
                "operations": one.operations, "restarts": one.restarts,
                "files": {file: asdict(total) for file, total in totals(one.lines).items()},
            }
            for one in found
        ],
        "unreached": rows,
    }  # fmt: skip


def render(kernel: Kernel, found: Sequence[Reached], last: Lines) -> RenderableType:
    """Lay out the totals, what only the tests reach, and all that fuzzing does not."""
    head = f"kernel {kernel.version}, design {kernel.spec.design}: lines, branches reached, of all"
    parts: list[RenderableType] = [Text(head), _totals(found)]
    for one in found:
        if not one.name.startswith(("fuzzer", "boot")):
            parts += [Text(f"\nreached by the {one.name} alone"), _only(kernel, one, last)]
    return Group(*parts, Text("\nnot reached by fuzzing, and why"), _reasons(kernel, last))


def _totals(found: Sequence[Reached]) -> Table:
    table = Table("", "programs", *COUNTED, box=None, pad_edge=False)
    for one in found:
        cells = (
            f"{t.lines} / {t.lines_total} ({t.lines / t.lines_total:.0%}), "
            f"{t.branches} / {t.branches_total} ({t.branches / t.branches_total:.0%})"
            for t in totals(one.lines).values()
        )
        lost = f", without {one.restarts} guests that were lost" if one.restarts else ""
        table.add_row(one.name + lost, f"{one.programs:,}" if one.programs else "", *cells)
    return table


def _only(kernel: Kernel, one: Reached, last: Lines) -> Table:
    table = Table("file", "function", "lines", box=None, pad_edge=False)
    mine = reached(one.lines, kernel.source) & unreached(last, kernel.source).keys()
    functions = sorted({key[:2] for key in mine})
    for file, function in functions:
        table.add_row(file, function, str(sum(key[:2] == (file, function) for key in mine)))
    return table


def _reasons(kernel: Kernel, last: Lines) -> Table:
    table = Table("function", "lines", "why", box=None, pad_edge=False)
    reasons = load_reasons()
    grouped: dict[tuple[str, str, str], list[int]] = {}
    for key, number in unreached(last, kernel.source).items():
        reason = reasons.of(key)
        why = (
            reason.text
            if reason
            else "no reason in unreached.toml: corpus/ reaches it, so a longer run may"
        )
        grouped.setdefault((key[0], key[1], why), []).append(number)
    for (file, function, why), numbers in grouped.items():
        shown = f"{min(numbers)}..{max(numbers)}" if len(numbers) > 1 else str(numbers[0])
        table.add_row(f"{Path(file).name} {function}", f"{len(numbers)}: {shown}", why)
    return table
