# SPDX-License-Identifier: GPL-2.0-only
"""One trial: how long one way of fuzzing takes to find one planted bug, from an empty corpus."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from zsfuzz.errors import HarnessError
from zsfuzz.outcome import Outcome
from zsfuzz.runner import Trouble
from zsfuzz.spawn import worker_environment
from zsfuzz.strategy import Strategy
from zsfuzz.workerconfig import WorkerConfig, worker_config
from zstools.fastmodules import ensure_fast_modules
from zstools.kernel import Kernel

RESULT = "trial.json"
GRACE = 120.0  # seconds beyond the limit, to start and to replay


@dataclass(frozen=True)
class Trial:
    """How a trial ended; `seconds` and `operations` count from the first program on.

    Without a finding they are what was spent.  `oracle` is what saw the bug first.
    """

    found: bool
    seconds: float
    operations: int
    title: str = ""
    outcome: str = ""
    oracle: str = ""


def run_trial(kernel: Kernel, strategy: Strategy, seconds: float, seed: int) -> Trial:
    """Fuzz in a process of its own until the first finding, `seconds` at most."""
    with tempfile.TemporaryDirectory(prefix="zsfuzz-trial-") as folder:
        work = Path(folder)
        (work / "inputs").mkdir()
        config = worker_config(kernel, name="trial", role="explore", work=work, output=work)
        config = replace(config, seconds=seconds, seed=seed, strategy=strategy.value)
        return _run(config, work)


def _run(config: WorkerConfig, work: Path) -> Trial:
    path, log, result = work / "trial.config", work / "trial.log", work / RESULT
    config.save(path)
    with log.open("wb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "zsfuzz.bench.bugs.trialworker", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=worker_environment(ensure_fast_modules()),
            timeout=(config.seconds or 0) + GRACE,
            check=False,
        )
    if done.returncode or not result.exists():
        words = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise HarnessError(f"a trial on {config.flavour} ended with {done.returncode}:\n{words}")
    return Trial(**json.loads(result.read_text()))


def write_trial(trial: Trial, work: Path) -> None:
    """Leave the result where `run_trial` looks for it."""
    (work / RESULT).write_text(json.dumps(asdict(trial)))


def oracle_of(trouble: Trouble) -> str:
    """Name what saw it: a check of zsfuzz, from the cheapest to the dearest, or the kernel."""
    if trouble.outcome is not Outcome.DIVERGENCE:
        return "kernel"
    divergence = trouble.divergence
    if divergence is None:
        return "audit"
    first = divergence.first
    if first is None or first.op is not None:
        return "operation"
    if first.subject == "end":
        return "end"
    return "contents" if first.name == "pattern" else "snapshot"
