# SPDX-License-Identifier: GPL-2.0-only
"""Run one stage of a trial in a process of its own, and hear how it ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from zsfuzz.spawn import run_worker
from zsfuzz.workerconfig import WorkerConfig

GRACE = 240.0  # seconds beyond the limit: to start, to find the culprit of an audit, to replay


@dataclass(frozen=True)
class Ended:
    """How a stage ended; `seconds` and `operations` count from its first program.

    `flaky` is what did not show again.  `failed` says what the harness could not cope with, and
    `wire` is the program, in hexadecimal, with which it could not; none if no guest got ready.
    """

    found: bool
    seconds: float
    operations: int
    title: str = ""
    outcome: str = ""
    oracle: str = ""
    flaky: bool = False
    failed: str = ""
    wire: str = ""
    splat: str = ""  # title of the kernel's complaint, if it had one to make


def run_stage(config: WorkerConfig) -> Ended:
    """Fuzz until the first finding, `config.seconds` at most; HarnessError if it just ends."""
    work = Path(config.work)
    path, log = work / f"{config.name}.config", work / f"{config.name}.log"
    config.save(path)
    result = result_file(config)
    run_worker(
        f"a trial on {config.flavour}", ["zsfuzz.bench.bugs.worker", str(path)], log, result,
        (config.seconds or 0) + GRACE,
    )  # fmt: skip
    return Ended(**json.loads(result.read_text()))


def result_file(config: WorkerConfig) -> Path:
    """Name the file in which the worker leaves how it ended."""
    return Path(config.work) / f"{config.name}.result"


def write_result(ended: Ended, config: WorkerConfig) -> None:
    """Leave the result where `run_stage` looks for it."""
    result_file(config).write_text(json.dumps(asdict(ended)))
