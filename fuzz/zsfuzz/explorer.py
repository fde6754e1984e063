# SPDX-License-Identifier: GPL-2.0-only
"""The explorer: one guest, one model, and libFuzzer, which proposes what they run."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from pathlib import Path

from zsfuzz.bootfailure import give_up
from zsfuzz.coverage import CoverageMap
from zsfuzz.engine import Engine, EngineOptions
from zsfuzz.errors import ZsfuzzError
from zsfuzz.findings.triage import Triage
from zsfuzz.history import Auditor
from zsfuzz.mutation.ahead import AheadMutator
from zsfuzz.mutation.faults import FaultMutator
from zsfuzz.mutation.mutator import Mutator
from zsfuzz.mutation.rawbytes import decode, is_dear
from zsfuzz.pool import Incoming, Offer
from zsfuzz.program import OP_SIZE, digest_of
from zsfuzz.runner import Runner, Trouble
from zsfuzz.smoke import mutations
from zsfuzz.stats import Stats
from zsfuzz.strategy import Strategy
from zsfuzz.workerconfig import WorkerConfig, start_machine
from zsmodel import Model
from zsmodel.classes import distinct_classes
from zsmodel.features import SITUATIONS

# Share of the time that programs with dear operations may take.
DEAR_SHARE = 0.1
LEARN_EVERY = 2048  # programs
CHECK_EVERY = 64  # programs between looks at the clock
PUBLISH_EVERY = 1.0  # seconds between writing what is known here, and reading what others found


class Explorer:
    """What libFuzzer calls for each input."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.stats = Stats(Path(config.work) / f"{config.name}.stats", create=True)
        self.machine = start_machine(config, console=f"{config.name}.console")
        self.strategy = Strategy(config.strategy)
        self.stats.set("no swap path", not self.machine.kernel.has_swap)
        self.engine = Engine(CoverageMap(Path(config.layout)).pcs, SITUATIONS)
        if self.strategy.guided:
            self.machine.map_counters(self.engine.coverage.address)
        features = self.engine.features.bytes if self.strategy.guided else None
        self.model = Model(self.machine.kernel, features)
        self.runner = self._make_runner()
        self.triage = Triage(self.runner, self.stats, config, lambda: self.stopping)
        self.auditor = Auditor(self.runner)
        self.mutator = Mutator(distinct_classes(self.machine.kernel), config.max_operations)
        self.max_bytes = 1 + OP_SIZE * config.max_operations
        self.ahead = AheadMutator(self.mutator, config.seed, self.max_bytes)
        self.mutate = self.ahead.mutate
        if config.faults == "many":
            self.mutate = FaultMutator(self.ahead.mutate, config.seed).mutate
        self.incoming = Incoming(Path(config.pool)) if config.pool else None
        self.runner.lockstep.meanwhile = self._meanwhile
        self.data = b""
        self.started = time.monotonic()
        self.published = self.started - PUBLISH_EVERY
        self.stopping = False
        self.learned = 0  # how many times LEARN_EVERY programs were used to learn from
        self.dear_seconds = 0.0
        self.countdown = CHECK_EVERY

    def _make_runner(self) -> Runner:
        return Runner(self.machine, self.model)

    def one_input(self, data: bytes) -> None:
        """Run what libFuzzer proposes; never raises, but ends the process when time is up.

        Or when no guest comes up any more.
        """
        try:
            self._one_input(data)
        except ZsfuzzError as error:
            code = give_up(self.config, error)
            sys.stdout.flush()
            os._exit(code)

    def _one_input(self, data: bytes) -> None:
        self.countdown -= 1
        if not self.countdown:
            self._look_at_the_clock()
        self.data = data
        wire = decode(data)
        if is_dear(data, wire):
            self._run_dear(wire)
        else:
            self._run(wire)

    def _run(self, wire: bytes) -> None:
        trouble = self.runner.run(wire)
        self.stats.program(wire)
        self.auditor.note(wire)
        if trouble is not None:
            self._handle(trouble)

    def _meanwhile(self) -> None:
        self.stats.beat()
        self.ahead.think(self.data)

    def _propose(self, data: bytes, max_size: int, seed: int) -> bytes:
        """Give libFuzzer what others found, before it has anything mutated."""
        found = self.incoming.next(max_size) if self.incoming else b""
        return found or self.mutate(data, max_size, seed)

    def _run_dear(self, wire: bytes) -> None:
        start = time.monotonic()
        if self.dear_seconds > DEAR_SHARE * (start - self.started):
            self.stats.add("skipped")
            if self.incoming:
                self.incoming.postpone(self.data)
            return
        self._run(wire)
        self.dear_seconds += time.monotonic() - start

    def _handle(self, trouble: Trouble) -> None:
        self.auditor.forget()
        flags, self.machine.flags = self.machine.flags, 0
        self.triage.handle(trouble)  # what it runs is no coverage of this input
        self.machine.flags = flags
        self.countdown = 1  # it took long, and the run may end with it

    def _look_at_the_clock(self) -> None:
        self.countdown = CHECK_EVERY
        now = time.monotonic()
        self._note_time(now)
        if self.auditor.due(now):
            self.stats.add("audits")
            trouble = self.auditor.audit(now)
            if trouble is not None:
                self._handle(trouble)
        if self.stats["programs"] // LEARN_EVERY != self.learned:
            self._learn()
        if now - self.published >= PUBLISH_EVERY:
            self._exchange(now)
        if self.stopping or self._finished(now):
            self._stop()

    def _note_time(self, now: float) -> None:
        self.stats.set("microseconds", int(1e6 * (now - self.started)))
        self.stats.set("restarts", self.machine.starts - 1)
        self.stats.set("killed", self.runner.killed)

    def _learn(self) -> None:
        """Let the mutator know what the kernel compared in the last program."""
        self.learned = self.stats["programs"] // LEARN_EVERY
        wire = self.auditor.last
        if wire:
            pairs = self.runner.compares(wire)
            self.engine.feed_compares(pairs)
            self.mutator.learn(value for pair in pairs for value in pair)

    def _finished(self, now: float) -> bool:
        config = self.config
        if config.seconds is not None and now - self.started >= config.seconds:
            return True
        return config.operations is not None and self.stats["operations"] >= config.operations

    def _exchange(self, now: float) -> None:
        self.published = now
        self._publish()
        self.triage.write_counts()
        if self.incoming:
            self.incoming.look()

    def _publish(self) -> None:
        path = Path(self.config.work) / f"{self.config.name}.hits"
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(self.machine.hits()))
        partial.rename(path)

    def _stop(self) -> None:
        """Leave everything in order and end the process: libFuzzer never returns."""
        trouble = self.auditor.audit(time.monotonic())
        if trouble is not None:
            self._handle(trouble)
        self._note_time(time.monotonic())
        self.stats.tally()
        self.stats.set("tolerated", sum(self.model.tolerated.values()))
        self._publish()
        self.triage.write_counts()
        self._tell_of_pool()
        self.machine.close()
        sys.stdout.flush()
        os._exit(0)

    def _tell_of_pool(self) -> None:
        if self.incoming:
            left = frozenset(digest_of(decode(data)) for data in self.incoming.left())
            Offer(self.incoming.read, left).write(
                Path(self.config.work) / f"{self.config.name}.pool"
            )

    def _ask_to_stop(self, *_: object) -> None:
        self.stopping = True

    def run(self) -> None:
        """Hand over to libFuzzer; SIGTERM ends the run in order."""
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        gc.freeze()
        if not self.strategy.guided:
            for data in mutations(self.mutator, self.max_bytes, self.config.seed):
                self.one_input(data)
        options = EngineOptions(Path(self.config.inputs), self.config.seed, self.max_bytes)
        propose = self._propose if self.incoming else self.mutate
        mutate = propose if self.strategy.structured else None
        self.engine.run(options, self.one_input, mutate)
