# SPDX-License-Identifier: GPL-2.0-only
"""One trial: how long one way of fuzzing takes to find one planted bug, from an empty corpus."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from zsfuzz.bench.bugs.blame import Blame, take_blame
from zsfuzz.bench.bugs.stagerun import Ended, run_stage
from zsfuzz.bench.bugs.stages import Stage
from zsfuzz.strategy import Strategy
from zsfuzz.workerconfig import WorkerConfig, worker_config
from zstools.kernel import Kernel

SEEDS_APART = 1000  # seeds of the stages of one trial differ by this


class Kernels(Protocol):
    """The kernels of one bug; what is not in the cache is built when it is asked for."""

    def broken(self, flavour: str) -> Kernel:
        """Give the design with the patch."""

    def clean(self, flavour: str) -> Kernel:
        """Give the design without it."""


@dataclass(frozen=True)
class Trial:
    """How a trial ended; `seconds` and `operations` count from the first program on.

    Neither building nor booting counts.  Without a finding they are what was spent.  `oracle` is
    what saw the bug first, `flavour` the kernel on which it did.  `flaky` findings did not show
    again; of a guest that does not get ready, or answers nonsense, `reason` says how.
    """

    found: bool
    seconds: float
    operations: int
    title: str = ""
    outcome: str = ""
    oracle: str = ""
    flavour: str = ""
    flaky: bool = False
    reason: str = ""


def run_trial(kernels: Kernels, strategy: Strategy, plan: Iterator[Stage], seed: int) -> Trial:
    """Go through the stages until the first finding; HarnessError if one cannot be run."""
    seconds, operations = 0.0, 0
    flaky: Trial | None = None
    with _work() as work:
        for number, stage in enumerate(plan):
            config = _config(kernels.broken(stage.flavour), stage, work, number)
            config = replace(config, seed=seed + SEEDS_APART * number, strategy=strategy.value)
            ended = _blamed(run_stage(config), kernels, stage)
            trial = Trial(
                ended.found, seconds + ended.seconds, operations + ended.operations,
                ended.title, ended.outcome, ended.oracle, stage.flavour, ended.flaky, ended.failed,
            )  # fmt: skip
            if ended.found and not ended.flaky:
                return trial
            if ended.found and flaky is None:
                flaky = trial
            seconds += stage.seconds if ended.found else ended.seconds
            operations += ended.operations
    return flaky or Trial(False, seconds, operations)


def _blamed(ended: Ended, kernels: Kernels, stage: Stage) -> Ended:
    """Ask the kernel without the patch whose fault it is if the stage could not go on."""
    if not ended.failed:
        return ended
    broken, clean = kernels.broken(stage.flavour), kernels.clean(stage.flavour)
    blame: Blame = take_blame(ended, broken, clean)
    return replace(ended, found=True, title=blame.title, outcome=blame.outcome, oracle=blame.oracle)


@contextmanager
def _work() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="zsfuzz-trial-") as folder:
        work = Path(folder)
        (work / "inputs").mkdir()
        yield work


def _config(kernel: Kernel, stage: Stage, work: Path, number: int) -> WorkerConfig:
    name = f"stage-{number}"
    config = worker_config(kernel, name=name, role="explore", work=work, output=work)
    return replace(config, seconds=stage.seconds)
