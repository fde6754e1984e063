# SPDX-License-Identifier: GPL-2.0-only
"""Benchmarks: how fast fuzzing is, beside what the module alone can do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zsfuzz.errors import HarnessError
from zsfuzz.spawn import worker_environment
from zsfuzz.workerconfig import WorkerConfig, worker_config
from zstools.fastmodules import ensure_fast_modules
from zstools.kernel import Kernel


def speed(kernels: Sequence[Kernel], seconds: float, seed: int = 1) -> dict[str, Any]:
    """Measure differential against raw throughput of 64-operation programs, by flavour.

    The two rates are of the same programs on the same guest, in turns of half a second; figures
    are medians.  Raises HarnessError if kernel and model differ.
    """
    return {
        "design": kernels[0].spec.design,
        "kernel": kernels[0].version,
        "program_length": 64,
        "cpus": len(os.sched_getaffinity(0)),
        "flavours": {kernel.spec.flavour: _speed_of(kernel, seconds, seed) for kernel in kernels},
    }


def _speed_of(kernel: Kernel, seconds: float, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="zsfuzz-bench-") as folder:
        work = Path(folder)
        (work / "inputs").mkdir()
        config = worker_config(kernel, name="speed", role="explore", work=work, output=work)
        path = work / "speed.json.in"
        replace(config, seconds=seconds, seed=seed).save(path)
        return _measure(config, path, work)


def _measure(config: WorkerConfig, path: Path, work: Path) -> dict[str, Any]:
    log = work / "speed.log"
    command = [sys.executable, "-m", "zsfuzz.bench.speedworker", str(path)]
    with log.open("wb") as file:
        done = subprocess.run(
            command,
            stdout=file,
            stderr=file,
            env=worker_environment(ensure_fast_modules()),
            check=False,
        )
    result = work / "speed.json"
    if done.returncode or not result.exists():
        words = "\n".join(log.read_text(errors="replace").splitlines()[-90:])
        raise HarnessError(f"measuring {config.flavour} ended with {done.returncode}:\n{words}")
    figures: dict[str, Any] = json.loads(result.read_text())
    return figures
