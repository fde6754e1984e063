# SPDX-License-Identifier: GPL-2.0-only
"""The replay worker: one guest, a list of files, and a verdict for each that did not agree."""

from __future__ import annotations

import gc
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from zsfuzz.corpusfile import load_wire
from zsfuzz.errors import BadCorpusFile, BootFailed, ZsfuzzError
from zsfuzz.outcome import EXIT_HARNESS_ERROR
from zsfuzz.program import OP_SIZE
from zsfuzz.replay.alone import Judge, Task
from zsfuzz.replay.pipeline import Pipeline
from zsfuzz.replay.verdict import Verdict
from zsfuzz.runner import Runner
from zsfuzz.spawn import EXIT_BOOT_FAILED
from zsfuzz.workerconfig import WorkerConfig, start_machine
from zsmodel import Model


class ReplayWorker:
    """Reads the list that the supervisor wrote, and writes one JSON file at the end."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.folder = Path(config.work)
        self.bad: list[dict[str, str]] = []
        self.operations = 0

    def run(self) -> None:
        """Replay everything; a fault of the harness goes to the log, as one line, and exit 2."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            self._run()
        except BootFailed as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(EXIT_BOOT_FAILED)
        except ZsfuzzError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(EXIT_HARNESS_ERROR)

    def _run(self) -> None:
        config = self.config
        with start_machine(config, console=f"{config.name}.console") as machine:
            machine.flags = 0  # nobody asks for coverage
            runner = Runner(machine, Model(machine.kernel))
            judge = Judge(runner, json.loads(Path(config.manifest).read_text()), config)
            pipeline = Pipeline(machine, runner, judge)
            gc.freeze()
            begin = time.perf_counter()
            failed, complaint = self._replay(pipeline, judge)
            seconds = time.perf_counter() - begin
        verdicts = judge.verdicts
        result = {
            "verdicts": [verdict.as_dict() for verdict in verdicts],
            "bad": self.bad,
            "operations": self.operations,
            "seconds": seconds,
            "failed": failed,
            "complaint": complaint,
            "undecided": self._undecided(pipeline, verdicts),
        }
        (self.folder / f"{config.name}.results").write_text(json.dumps(result))

    def _replay(self, pipeline: Pipeline, judge: Judge) -> tuple[str, str]:
        """Say why the harness, or the kernel at a boot, did not let it go on; "" if they did.

        What was decided before counts.
        """
        try:
            pipeline.run(self._tasks())
        except ZsfuzzError as error:
            if not (pipeline.settled or judge.verdicts or self.bad):
                raise
            return ("", str(error)) if isinstance(error, BootFailed) else (str(error), "")
        return "", ""

    @cached_property
    def _names(self) -> list[str]:
        names: list[str] = json.loads((self.folder / f"{self.config.name}.list").read_text())
        return names

    def _undecided(self, pipeline: Pipeline, verdicts: Sequence[Verdict]) -> list[str]:
        told = {str(verdict.path) for verdict in verdicts}
        told |= {one["path"] for one in self.bad}
        times = self.config.times
        return [
            name for name in self._names
            if name not in told and pipeline.settled[Path(name)] < times
        ]  # fmt: skip

    def _tasks(self) -> Iterator[Task]:
        """Read the programs as they are needed, while the guest is busy."""
        for name in self._names:
            path = Path(name)
            try:
                wire = load_wire(path)
            except BadCorpusFile as error:
                self.bad.append({"path": name, "reason": str(error)})
                continue
            self.operations += len(wire) // OP_SIZE
            task = Task(path, wire)
            for _ in range(self.config.times):
                yield task
