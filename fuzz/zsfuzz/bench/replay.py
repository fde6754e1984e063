# SPDX-License-Identifier: GPL-2.0-only
"""Measure how fast a corpus is replayed beside how fast `zsfuzz run` runs programs, in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

from zsfuzz.errors import HarnessError
from zsfuzz.kerneloptions import kernel_options, take_kernel
from zsfuzz.replay.run import replay
from zsfuzz.run import Run, RunOptions
from zstools.kernel import Kernel, KernelSpec


@dataclass(frozen=True)
class Turn:
    """Rates a second of one turn: programs and operations, of a run and of a replay."""

    run: tuple[float, float]
    replay: tuple[float, float]

    @property
    def ratios(self) -> tuple[float, float]:
        """Divide the replay's rates by the run's."""
        return self.replay[0] / self.run[0], self.replay[1] / self.run[1]


def measure_turn(kernel: Kernel, corpus: Sequence[Path], seconds: float) -> Turn:
    """Fuzz for some seconds from the corpus on, then replay it; boots are not counted."""
    with tempfile.TemporaryDirectory(prefix="zsfuzz-bench-") as output:
        options = RunOptions(Path(output), tuple(corpus), seconds)
        result = Run([kernel], options, lambda _: None).run()
    report = replay(kernel, corpus)
    if result.troubled or report.exit_code:
        raise HarnessError("there was trouble: run `zsfuzz replay` before measuring its speed")
    return Turn(
        _rates(result.total("programs"), result.total("operations"), result.seconds),
        _rates(len(report.verdicts), report.operations, report.seconds),
    )


def _rates(programs: int, operations: int, seconds: float) -> tuple[float, float]:
    return programs / seconds, operations / seconds


@click.command("replay")
@click.argument("corpus", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@kernel_options(flavour="plain")
@click.option("--time", "seconds", type=click.FloatRange(min=1), default=5.0, show_default=True,
              help="Seconds of fuzzing in each turn.")  # fmt: skip
@click.option("--turns", type=click.IntRange(min=1), default=3, show_default=True)
def bench_replay(corpus: tuple[Path, ...], spec: KernelSpec, seconds: float, turns: int) -> None:
    """Compare replaying CORPUS (some thousands of programs) with fuzzing from it on."""
    kernel = take_kernel(spec)
    found = [measure_turn(kernel, corpus, seconds) for _ in range(turns)]
    for column, what in enumerate(("programs", "operations")):
        run = median(turn.run[column] for turn in found)
        again = median(turn.replay[column] for turn in found)
        ratio = median(turn.ratios[column] for turn in found)
        click.echo(f"{what:>10}/s   run {run:>10,.0f}   replay {again:>10,.0f}   ratio {ratio:.2f}")
