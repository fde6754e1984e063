# SPDX-License-Identifier: GPL-2.0-only
"""The ways to run programs beside fuzzing them, and where the host's time goes meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from time import thread_time_ns

from zsfuzz.errors import HarnessError
from zsfuzz.guest.machine import Machine
from zsfuzz.lockstep import Lockstep
from zsfuzz.mutation.ahead import AheadMutator
from zsfuzz.mutation.rawbytes import decode
from zsmodel import Model

TURN = 0.25  # seconds
BATCH_BYTES = 32768  # of programs in one request: their answers must fit the ring
RAW, RAW_BLIND = "raw replay", "raw replay, coverage off"
MODEL, TRANSPORT, EMPTY = "model alone", "transport alone", "empty programs, raw"
RESTARTS = 5


class TurnClock:
    """Count the programs of a turn; what runs before the first turn, to warm up, counts in none."""

    def __init__(self, begins: float) -> None:
        self.programs = 0
        self._began = begins
        self.warm = False

    def tick(self, now: float) -> float | None:
        """Give the seconds that a turn took, if one ends now."""
        if not self.warm and now >= self._began:
            self.warm = True
            self.begin(now)
        return now - self._began if now >= self._began + TURN else None

    def begin(self, now: float) -> None:
        """Begin a turn."""
        self.programs = 0
        self._began = now


class Alternatives:
    """Run the programs of a turn otherwise; rates are programs a second."""

    def __init__(self, machine: Machine, model: Model) -> None:
        self.machine = machine
        self.model = model
        self.cover = machine.flags

    def measure(self, sample: Sequence[bytes]) -> dict[str, float]:
        """Measure all of them, for a turn each."""
        batch = max(1, min(64, BATCH_BYTES // max(len(sample[0]), 1)))
        rates = {
            RAW: self._rate(lambda: self._replay(sample, batch)),
            MODEL: self._rate(lambda: self._model(sample)),
            TRANSPORT: self._rate(self._transport),
            EMPTY: self._rate(lambda: self.machine.replay([b""] * 64)),
        }
        self.machine.flags = 0
        rates[RAW_BLIND] = self._rate(lambda: self._replay(sample, batch))
        self.machine.flags = self.cover
        return rates

    def _rate(self, some: Callable[[], int]) -> float:
        began, done = time.perf_counter(), 0
        while time.perf_counter() < began + TURN:
            done += some()
        return done / (time.perf_counter() - began)

    def _replay(self, sample: Sequence[bytes], batch: int) -> int:
        return sum(
            self.machine.replay(sample[at : at + batch]) for at in range(0, len(sample), batch)
        )

    def _model(self, sample: Sequence[bytes]) -> int:
        for wire in sample[:64]:
            self.model.run(wire)
        return min(len(sample), 64)

    def _transport(self) -> int:
        for _ in range(64):
            self.machine.run(b"")
        return 64


class Sections:
    """The loop of Lockstep.check() with a clock between its parts; nanoseconds a program.

    The clock is the thread's CPU time, so that other jobs on the machine do not count.
    """

    NAME = "sections"
    PARTS = ("decode", "post", "model", "mutate ahead", "wait for the guest", "compare")

    def __init__(self, lockstep: Lockstep, ahead: AheadMutator, limit: int) -> None:
        self.lockstep = lockstep
        self.limit = limit  # operations in a program
        self.ahead = ahead
        self.sums = [0] * len(self.PARTS)
        self.began = 0
        self.turns: list[dict[str, float]] = []

    def run(self, data: bytes) -> None:
        """Run one program as the lock-step does."""
        lockstep, sums = self.lockstep, self.sums
        t0 = thread_time_ns()
        wire = decode(data, self.limit)
        t1 = thread_time_ns()
        lockstep.target.post(wire)
        t2 = thread_time_ns()
        expected = lockstep.model.run(wire)
        t3 = thread_time_ns()
        self.ahead.think(data)
        t4 = thread_time_ns()
        answer = lockstep.target.collect()
        t5 = thread_time_ns()
        if answer != expected and lockstep.judge(wire, answer) is not None:
            raise HarnessError("kernel and model differ: run `zsfuzz run` before measuring speed")
        t6 = thread_time_ns()
        times = (t0, t1, t2, t3, t4, t5, t6)
        for i in range(len(sums)):
            sums[i] += times[i + 1] - times[i]

    def begin_turn(self) -> None:
        """Start the clock of all of it."""
        self.began = thread_time_ns()

    def end_turn(self, programs: int) -> None:
        """Note the turn; what is left of the time is libFuzzer's and Python's calls."""
        spent = {name: n / programs for name, n in zip(self.PARTS, self.sums, strict=True)}
        rest = (thread_time_ns() - self.began) / programs - sum(spent.values())
        self.turns.append({**spent, "libFuzzer, callbacks": rest})
        self.sums = [0] * len(self.PARTS)


def restart_seconds(machine: Machine) -> list[float]:
    """Kill the guest, and time until the next program has run on a fresh one."""
    found = []
    for _ in range(RESTARTS):
        os.kill(machine.pid, signal.SIGKILL)
        began = time.perf_counter()
        machine.restart()
        machine.run(b"")
        found.append(time.perf_counter() - began)
    return found
