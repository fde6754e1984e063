# SPDX-License-Identifier: GPL-2.0-only
"""Workers as the supervisor sees them, and those that are processes of this machine."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from zsfuzz.campaign.identity import Identity
from zsfuzz.campaign.schedule import Assignment
from zsfuzz.coverage import read_hits
from zsfuzz.spawn import WorkerProcess
from zsfuzz.workerconfig import WorkerConfig, worker_config
from zstools.kernel import Kernel

NAME = "explore"  # of the files in a worker's scratch folder
STATS = f"{NAME}.stats"
HITS = f"{NAME}.hits"
OFFER = f"{NAME}.pool"


@dataclass(frozen=True)
class Order:
    """What a worker is to do, for how long, and where."""

    worker: int  # number of its row in the database
    slot: int
    assignment: Assignment
    work: Path  # its scratch folder
    pool: Path  # where it learns what others found
    seed: int
    seconds: float
    max_operations: int


class Worker(Protocol):
    """One worker that was started."""

    place: str
    identity: Identity | None

    def ended(self) -> str | None:
        """Say why it ended: "" in order, None while it runs."""

    def counters(self) -> dict[str, int]:
        """Give its counters so far; empty until it has started."""

    def hits(self) -> list[int]:
        """Give how often it reached each coverage site; empty if that is not known yet."""

    def ask_to_stop(self) -> None:
        """Let it finish what it is doing."""

    def kill(self) -> None:
        """End it now; its guest ends with it."""


Spawn = Callable[[Order], Worker]


class LocalWorker:
    """A process on this machine."""

    place = "local"

    def __init__(self, config: WorkerConfig, process: WorkerProcess) -> None:
        self._work = Path(config.work)
        self._process = process
        self._asked = False
        self.identity = Identity.of(process.process.pid)

    def ended(self) -> str | None:
        """Say why it ended, with its last words if that was not in order."""
        code = self._process.process.poll()
        if self._asked and code == -signal.SIGTERM:
            return ""  # it had not yet begun
        if not code:
            return None if code is None else ""
        words = self._process.last_words()
        last = words.splitlines()[-1] if words else "no words"
        how = (
            f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}: {last}"
        )
        return f"{how}\n{words}".strip()

    def counters(self) -> dict[str, int]:
        """Read its counters."""
        return self._process.stats

    def hits(self) -> list[int]:
        """Read what it reached."""
        return read_hits(self._work / HITS)

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        self._asked = True
        self._process.ask_to_stop()

    def kill(self) -> None:
        """Send SIGKILL; `ended` tells when it is gone."""
        self._process.process.kill()


@dataclass(frozen=True)
class LocalSpawn:
    """Start workers on this machine."""

    root: Path
    kernels: Sequence[Kernel]
    fast_modules: Path | None
    cpus: Sequence[tuple[int, int] | None] = (None,)  # of each slot: the worker's and the guest's

    def __call__(self, order: Order) -> Worker:
        """Start a worker; raises OSError."""
        config = explorer_config(order, self.root, self.kernels)
        pair = self.cpus[order.slot % len(self.cpus)]
        host, guest = pair or (None, None)
        config = replace(config, host_cpu=host, guest_cpu=guest)
        return LocalWorker(config, WorkerProcess(config, self.fast_modules))


def explorer_config(order: Order, root: Path, kernels: Sequence[Kernel]) -> WorkerConfig:
    """Describe an explorer in a scratch folder of its own, which is made anew."""
    shutil.rmtree(order.work, ignore_errors=True)
    (order.work / "inputs").mkdir(parents=True)
    spec = order.assignment.kernel.spec
    others = [k for k in kernels if k is not order.assignment.kernel and _alike(k, spec.design)]
    config = _config(order, order.assignment.kernel, NAME, root)
    return replace(
        config,
        seed=order.seed,
        seconds=order.seconds,
        max_operations=order.max_operations,
        findings=f"findings/{spec.design}",
        pool=str(order.pool),
        faults=order.assignment.faults,
        others=tuple(_config(order, k, f"check-{k.spec.configuration}", root) for k in others),
    )


def _alike(kernel: Kernel, design: str) -> bool:
    return kernel.spec.design == design and not kernel.spec.variants


def _config(order: Order, kernel: Kernel, name: str, root: Path) -> WorkerConfig:
    config = worker_config(kernel, name=name, role="explore", work=order.work, output=root)
    return replace(config, flavour=kernel.spec.configuration, host_cpu=None, guest_cpu=None)


def pairs_of_cpus(cpus: Sequence[int], jobs: int) -> list[tuple[int, int] | None]:
    """Give each slot a CPU for its worker and one for its guest, if there are enough for all."""
    if 2 * jobs > len(cpus):
        return [None] * jobs
    return [(cpus[2 * slot], cpus[2 * slot + 1]) for slot in range(jobs)]
