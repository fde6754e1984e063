# SPDX-License-Identifier: GPL-2.0-only
"""Ratios that other jobs on the machine do not move, to notice when fuzzing gets worse.

Operations until a planted bug shows are counted, not timed, and everything random in it has a fixed
seed; what a program costs is CPU time of the host beside CPU time of the guest.  The search is a
plain loop of our own, not libFuzzer, whose choices depend on the clock through audits.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from zsfuzz.corpus.measure import Meter
from zsfuzz.errors import HarnessError
from zsfuzz.guest.machine import Machine
from zsfuzz.mutation.lcg import Lcg
from zsfuzz.mutation.mutator import Mutator
from zsfuzz.mutation.rawbytes import COMMON, decode, encode, is_dear
from zsfuzz.program import OP_SIZE
from zsfuzz.workerconfig import WorkerConfig, start_machine
from zsmodel import Model
from zsmodel.classes import distinct_classes

LENGTH = 64  # operations in a program
SIZE = 1 + OP_SIZE * LENGTH
BATCH, BATCHES = 64, 24
ROUNDS = 20
FOREVER = 1 << 62  # nanoseconds
Mutate = Callable[[bytes, int, int], bytes]


def operations_to_find(machine: Machine, mutate: Mutate, seed: int, limit: int) -> tuple[int, str]:
    """Search from nothing, guided by coverage; gives the operations and what was found, if any.

    It ends at @limit operations.  Programs with dear operations are left out.  The guest is a fresh
    one afterwards if there was something.
    """
    meter, random = Meter(machine), Lcg(seed)
    corpus, seen, done = [encode(b"")], 0, 0
    while done < limit:
        data = mutate(corpus[random.below(len(corpus))], SIZE, random.below(1 << 31))
        wire = decode(data)
        if is_dear(data, wire):
            continue
        done += max(1, len(wire) // OP_SIZE)
        reached = meter.reach(wire)
        if reached is None:
            return done, meter.trouble.title if meter.trouble else ""
        if reached & ~seen:
            seen |= reached
            corpus.append(data)
    return limit, ""


_CPUCLOCK_SCHED = 2  # of include/linux/posix-timers_types.h


class HostWork:
    """All that the host does for a program, without libFuzzer: mutate, decode, predict, compare."""

    def __init__(self, machine: Machine) -> None:
        self.model = Model(machine.kernel)
        self.mutator = Mutator(distinct_classes(machine.kernel), LENGTH)

    def run(self, data: bytes, answer: bytes) -> bool:
        """Do it once; tells whether the model agrees."""
        self.mutator.mutate(data, SIZE, 1)
        return self.model.run(decode(data)) == answer


def programs(machine: Machine, count: int) -> list[bytes]:
    """Make programs of the same length, always the same ones, as raw bytes."""
    mutator, random = Mutator(distinct_classes(machine.kernel), LENGTH), Lcg(1)
    found: list[bytes] = []
    data = encode(b"\x02" + bytes(7))
    while len(found) < count:
        data = mutator.mutate(data, SIZE, random.below(1 << 31))
        body = data[1:] or data[:1] * OP_SIZE
        whole = bytes([COMMON]) + (body * (SIZE // len(body) + 1))[: SIZE - 1]
        found.append(whole)
    return found


def host_share(machine: Machine, host: HostWork) -> float:
    """Divide the host's CPU time for programs by the guest's.

    Each batch counts with the least time that either side needed for it: a virtual CPU that another
    machine takes away, or whose core it shares, only ever adds time.  From round to round host and
    guest change CPUs, as one of them may be slow all the time.
    """
    inputs = programs(machine, BATCH * BATCHES)
    batches = [inputs[at : at + BATCH] for at in range(0, len(inputs), BATCH)]
    wires = [[decode(data) for data in batch] for batch in batches]
    guest, own = [FOREVER] * BATCHES, [FOREVER] * BATCHES
    cpus = sorted(os.sched_getaffinity(0))
    for turn in range(ROUNDS):
        os.sched_setaffinity(0, {cpus[turn % len(cpus)]})
        os.sched_setaffinity(machine.pid, {cpus[(turn + 1) % len(cpus)]})
        for at, batch in enumerate(batches):
            guest[at] = min(guest[at], _guest_takes(machine, wires[at]))
            own[at] = min(own[at], _host_takes(host, batch, machine.ring.results()))
    return sum(own) / sum(guest)


def _guest_takes(machine: Machine, wires: Sequence[bytes]) -> int:
    began = _guest_nanoseconds(machine)
    machine.replay(wires)
    return _guest_nanoseconds(machine) - began


def _host_takes(host: HostWork, batch: Sequence[bytes], answers: Sequence[bytes]) -> int:
    began = time.thread_time_ns()
    agree = [host.run(data, answer) for data, answer in zip(batch, answers, strict=True)]
    took = time.thread_time_ns() - began
    if not all(agree):
        raise HarnessError(
            "kernel and model differ: a host that is wrong may be as fast as it likes"
        )
    return took


def _guest_nanoseconds(machine: Machine) -> int:
    """Read the CPU time of the guest's kernel, as clock_getcpuclockid(3) does.

    What /proc/<pid>/schedstat says of a process that runs may be older than a batch takes.
    """
    return time.clock_gettime_ns(~machine.pid << 3 | _CPUCLOCK_SCHED)


def main(work: Callable[[Machine], HostWork] = HostWork) -> None:
    """Print the host's share on the kernel of the worker's configuration that argv names."""
    config = WorkerConfig.load(Path(sys.argv[1]))
    with start_machine(config, console="gate.console") as machine:
        sys.stdout.write(json.dumps({"host_share": host_share(machine, work(machine))}) + "\n")


if __name__ == "__main__":
    main()
