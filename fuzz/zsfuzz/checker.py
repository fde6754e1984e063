# SPDX-License-Identifier: GPL-2.0-only
"""The checker: runs again, on a slower kernel that sees more, what the explorer found new.

Besides each new input, a steady share of its time goes to mutations of known ones.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from zsfuzz.findings.triage import Triage
from zsfuzz.history import Auditor
from zsfuzz.mutation.mutator import Mutator
from zsfuzz.mutation.rawbytes import decode
from zsfuzz.runner import Runner
from zsfuzz.stats import Stats
from zsfuzz.workerconfig import WorkerConfig, start_machine
from zsmodel import Model
from zsmodel.classes import distinct_classes

# Of its time, what mutations of known inputs may take; the rest is left to the explorer.
STEADY_SHARE = 0.1
BATCH = 16  # programs between looks at the clock
PAUSE = 0.05  # seconds, when there is nothing new


class Checker:
    """One guest and one model; inputs come from the folder that the explorer fills."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.stats = Stats(Path(config.work) / f"{config.name}.stats", create=True)
        self.machine = start_machine(config, console=f"{config.name}.console")
        self.runner = Runner(self.machine, Model(self.machine.kernel))
        self.triage = Triage(self.runner, self.stats, config, lambda: self.stopping)
        self.auditor = Auditor(self.runner)
        self.mutator = Mutator(distinct_classes(self.machine.kernel), config.max_operations)
        self.random = random.Random(config.seed)  # noqa: S311 - choices, not secrets
        self.known: dict[str, bytes] = {}
        self.stopping = False

    def run(self) -> None:
        """Check until SIGTERM asks to stop; what came last is still checked then."""
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        while not self.stopping:
            fresh = self._take_fresh()
            for data in fresh:
                self._check(data)
            if not fresh:
                self._mutate_some()
            if self.auditor.due(time.monotonic()):
                self._audit()
        for data in self._take_fresh():
            self._check(data)
        self._audit()
        self.stats.set("killed", self.runner.killed)
        self.stats.tally()
        self.triage.write_counts()
        self.machine.close()

    def _ask_to_stop(self, *_: object) -> None:
        self.stopping = True

    def _take_fresh(self) -> list[bytes]:
        fresh = []
        with os.scandir(self.config.inputs) as entries:
            names = [entry.name for entry in entries if entry.name not in self.known]
        for name in names:
            try:
                data = (Path(self.config.inputs) / name).read_bytes()
            except FileNotFoundError:  # libFuzzer has replaced it by a shorter one
                continue
            self.known[name] = data
            fresh.append(data)
        return fresh

    def _mutate_some(self) -> None:
        start = time.monotonic()
        if self.known:
            choices = list(self.known.values())
            for _ in range(BATCH):
                seed = self.random.getrandbits(32)
                size = 1 + 8 * self.config.max_operations
                self._check(self.mutator.mutate(self.random.choice(choices), size, seed))
        spent = time.monotonic() - start
        time.sleep(max(PAUSE, spent * (1 / STEADY_SHARE - 1)))

    def _check(self, data: bytes) -> None:
        wire = decode(data)
        trouble = self.runner.run(wire)
        self.stats.program(wire)
        self.auditor.note(wire)
        if trouble is not None:
            self.auditor.forget()
            self.triage.handle(trouble)

    def _audit(self) -> None:
        self.stats.add("audits")
        trouble = self.auditor.audit(time.monotonic())
        if trouble is not None:
            self.triage.handle(trouble)
