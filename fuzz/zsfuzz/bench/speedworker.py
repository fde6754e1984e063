# SPDX-License-Identifier: GPL-2.0-only
"""Measure speed in one process, for one flavour and one length of programs.

In each turn libFuzzer drives kernel and model in lock-step for a while, with coverage, mutation
and the full comparison; then the very programs of that turn are run in other ways on the same
guest (see speedturns.py).  Turns are short, so that all of them see the same machine.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path

from zsfuzz.bench.speedturns import Alternatives, Sections, TurnClock, restart_seconds
from zsfuzz.coverage import CoverageMap
from zsfuzz.engine import Engine, EngineOptions
from zsfuzz.errors import HarnessError
from zsfuzz.lockstep import Disagreement, Lockstep
from zsfuzz.mutation.ahead import AheadMutator
from zsfuzz.mutation.mutator import Mutator
from zsfuzz.mutation.rawbytes import COMMON, decode, encode
from zsfuzz.oracle import compare
from zsfuzz.program import OP_SIZE, Program
from zsfuzz.text import format_program
from zsfuzz.workerconfig import WorkerConfig, start_machine
from zsmodel import Model
from zsmodel.classes import distinct_classes
from zsmodel.features import SITUATIONS

WARM_UP = 1.0  # seconds
SAMPLE = 512  # programs of a turn that are run in other ways
DIFFERENTIAL, BLIND = "differential", "differential, coverage off"


class SpeedMeter:
    """Alternates between ways to run programs; `turns` has the rates of each, a second."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.length = config.max_operations
        self.size = 1 + OP_SIZE * self.length  # in raw bytes
        began = time.perf_counter()
        self.machine = start_machine(config, console="speed.console")
        self.start_seconds = time.perf_counter() - began
        self.engine = Engine(CoverageMap(Path(config.layout)).pcs, SITUATIONS)
        self.machine.map_counters(self.engine.coverage.address)
        model = Model(self.machine.kernel, self.engine.features.bytes)
        self.lockstep = Lockstep(self.machine, model)
        mutator = Mutator(distinct_classes(self.machine.kernel), self.length)
        self.ahead = AheadMutator(mutator, config.seed, self.size)
        self.lockstep.meanwhile = self._meanwhile
        self.others = Alternatives(self.machine, model)
        self.sections = Sections(self.lockstep, self.ahead, self.length)
        self.data = b""
        self.turns: list[dict[str, float]] = []
        self.memory: list[tuple[float, int, int]] = []
        self.sample: list[bytes] = []
        self.rates: dict[str, float] = {}
        self.kind = DIFFERENTIAL
        self.total = 0
        self.began = time.perf_counter()
        self.clock = TurnClock(self.began + WARM_UP)
        self.ends = self.began + WARM_UP + (config.seconds or 5.0)
        self.mask = 63 if self.length < 64 else 15  # programs between looks at the clock

    def mutate(self, data: bytes, max_size: int, seed: int) -> bytes:
        """Mutate as in a run, then bring the program to the measured length."""
        return _fit(self.ahead.mutate(data, max_size, seed), self.size)

    def _meanwhile(self) -> None:
        self.ahead.think(self.data)

    def one_input(self, data: bytes) -> None:
        """Run a program in lock-step; at the end of a turn, the same ones in other ways."""
        self.data = data
        if self.kind == Sections.NAME:
            self.sections.run(data)
        else:
            wire = decode(data, self.length)
            found = self.lockstep.check(wire)
            if found is not None:
                self._give_up(found)
            if self.clock.warm and len(self.sample) < SAMPLE and len(wire) == self.size - 1:
                self.sample.append(wire)
        self.clock.programs += 1
        self.total += 1
        if not self.total & self.mask:
            now = time.perf_counter()
            seconds = self.clock.tick(now)
            if seconds is not None:
                self._end_turn(now, seconds)

    def _give_up(self, found: Disagreement) -> None:
        """Say where kernel and model differ: such a kernel is to be fuzzed, not measured."""
        program = Program.from_wire(found.wire)
        divergence = compare(program, found.kernel, found.model, self.machine.kernel)
        raise HarnessError(
            f"kernel and model differ ({divergence}) after\n{format_program(program)}"
            "run `zsfuzz run` before measuring speed"
        )

    def _end_turn(self, now: float, seconds: float) -> None:
        """Go on to the next way to drive the loop; after the last, run the sample otherwise."""
        if self.kind == Sections.NAME:
            self.sections.end_turn(self.clock.programs)
        else:
            self.rates[self.kind] = self.clock.programs / seconds
        if self.kind == DIFFERENTIAL:
            self.kind, self.machine.flags = BLIND, 0
        elif self.kind == BLIND:
            self.kind, self.machine.flags = Sections.NAME, self.others.cover
        else:
            self._end_round(now)
        self.sections.begin_turn()
        self.clock.begin(time.perf_counter())

    def _end_round(self, now: float) -> None:
        if self.sample:
            self.turns.append({**self.rates, **self.others.measure(self.sample)})
        self.memory.append((now - self.began, _resident(os.getpid()), _resident(self.machine.pid)))
        if time.perf_counter() > self.ends:
            self._finish()
        self.sample.clear()
        self.rates, self.kind = {}, DIFFERENTIAL

    def _finish(self) -> None:
        figures = {
            "turns": self.turns,
            "sections": self.sections.turns,
            "memory": self.memory,
            "programs": self.total,
            "start_seconds": [self.start_seconds],
            "restart_seconds": restart_seconds(self.machine),
        }
        (Path(self.config.work) / "speed.json").write_text(json.dumps(figures))
        self.machine.close()
        os._exit(0)

    def run(self) -> None:
        """Measure; the process ends with it."""
        gc.freeze()
        config = self.config
        options = EngineOptions(Path(config.inputs), config.seed, self.size)
        self.engine.run(options, self.one_input, self.mutate)


def _resident(pid: int) -> int:
    """Give the resident memory of a process, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def _fit(data: bytes, size: int) -> bytes:
    """Repeat or cut a program to the measured length, without dear operations."""
    body = data[1:] or encode(b"\x02" + bytes(7))[1:]
    return bytes([COMMON]) + (body * (size // len(body) + 1))[: size - 1]


def main() -> None:
    """Measure what the JSON file named on the command line says."""
    SpeedMeter(WorkerConfig.load(Path(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
