# SPDX-License-Identifier: GPL-2.0-only
"""Measure speed in one process: fuzzing and raw replay of the same programs, in turns.

In each turn libFuzzer drives kernel and model in lock-step for a while, with coverage, mutation
and the full comparison; then the module alone replays the very programs of that turn, in batches
over the ring, on the same guest.  Turns are short, so that both see the same machine.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path
from statistics import median

from zsfuzz.coverage import CoverageMap
from zsfuzz.engine import Engine, EngineOptions
from zsfuzz.errors import HarnessError
from zsfuzz.lockstep import Disagreement, Lockstep
from zsfuzz.mutation.ahead import AheadMutator
from zsfuzz.mutation.mutator import Mutator
from zsfuzz.mutation.rawbytes import COMMON, decode, encode
from zsfuzz.oracle import compare
from zsfuzz.program import Program
from zsfuzz.text import format_program
from zsfuzz.workerconfig import WorkerConfig, start_machine
from zsmodel import Model
from zsmodel.classes import distinct_classes
from zsmodel.features import SITUATIONS

LENGTH = 64  # operations in every program that is measured
SIZE = 1 + 8 * LENGTH  # the same, in raw bytes
TURN = 0.5  # seconds
WARM_UP = 2.0  # seconds
SAMPLE = 512  # programs of a turn that are replayed
BATCH = 64  # programs in one request


class SpeedMeter:
    """Alternates between the two rates; `results` has one pair (fuzzing, raw) a turn."""

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.machine = start_machine(config, console="speed.console")
        self.engine = Engine(CoverageMap(Path(config.layout)).pcs, SITUATIONS)
        self.machine.map_counters(self.engine.coverage.address)
        model = Model(self.machine.kernel, self.engine.features.bytes)
        self.lockstep = Lockstep(self.machine, model)
        mutator = Mutator(distinct_classes(self.machine.kernel), LENGTH)
        self.ahead = AheadMutator(mutator, config.seed, SIZE)
        self.lockstep.meanwhile = self._meanwhile
        self.data = b""
        self.results: list[tuple[float, float]] = []
        self.sample: list[bytes] = []
        self.programs = 0
        now = time.perf_counter()
        self.turn_began = now + WARM_UP
        self.ends = now + WARM_UP + (config.seconds or 20.0)

    def mutate(self, data: bytes, max_size: int, seed: int) -> bytes:
        """Mutate as in a run, then bring the program to the measured length."""
        return _fit(self.ahead.mutate(data, max_size, seed))

    def _meanwhile(self) -> None:
        self.ahead.think(self.data)

    def one_input(self, data: bytes) -> None:
        """Run a program in lock-step; at the end of a turn, replay a sample of it."""
        self.data = data
        wire = decode(data)
        if len(wire) != 8 * LENGTH:
            return
        found = self.lockstep.check(wire)
        if found is not None:
            self._give_up(found)
        self.programs += 1
        if len(self.sample) < SAMPLE:
            self.sample.append(wire)
        if self.programs % 64 == 0:
            now = time.perf_counter()
            if now >= self.turn_began + TURN:
                self._end_turn(now)

    def _give_up(self, found: Disagreement) -> None:
        """Say where kernel and model differ: such a kernel is to be fuzzed, not measured."""
        program = Program.from_wire(found.wire)
        divergence = compare(program, found.kernel, found.model, self.machine.kernel)
        raise HarnessError(
            f"kernel and model differ ({divergence}) after\n{format_program(program)}"
            "run `zsfuzz run` before measuring speed"
        )

    def _end_turn(self, now: float) -> None:
        fuzzing = self.programs / (now - self.turn_began)
        if self.turn_began > now - 2 * TURN:  # not the warm-up
            self.results.append((fuzzing, self._raw_rate()))
        if time.perf_counter() > self.ends:
            self._finish()
        self.sample.clear()
        self.programs = 0
        self.turn_began = time.perf_counter()

    def _raw_rate(self) -> float:
        began, done = time.perf_counter(), 0
        while time.perf_counter() < began + TURN:
            for at in range(0, len(self.sample), BATCH):
                done += self.machine.replay(self.sample[at : at + BATCH])
        return done / (time.perf_counter() - began)

    def _finish(self) -> None:
        fuzzing, raw = zip(*self.results, strict=True)
        figures = {
            "programs_per_second": round(median(fuzzing), 1),
            "raw_programs_per_second": round(median(raw), 1),
            "ratio": round(median(f / r for f, r in self.results), 3),
            "turns": len(self.results),
        }
        (Path(self.config.work) / "speed.json").write_text(json.dumps(figures))
        self.machine.close()
        os._exit(0)

    def run(self) -> None:
        """Measure; the process ends with it."""
        gc.freeze()
        config = self.config
        options = EngineOptions(Path(config.inputs), config.seed, SIZE)
        self.engine.run(options, self.one_input, self.mutate)


def _fit(data: bytes) -> bytes:
    """Repeat or cut a program to the measured length, without dear operations."""
    body = data[1:] or encode(b"\x02" + bytes(7))[1:]
    return bytes([COMMON]) + (body * (SIZE // len(body) + 1))[: SIZE - 1]


def main() -> None:
    """Measure what the JSON file named on the command line says."""
    SpeedMeter(WorkerConfig.load(Path(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
