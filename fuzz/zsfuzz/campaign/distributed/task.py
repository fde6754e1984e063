# SPDX-License-Identifier: GPL-2.0-only
"""What a Dask worker runs: one explorer with its guest, in a scratch folder of its machine."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import get_worker

from zsfuzz.campaign.corpusstore import CorpusStore
from zsfuzz.campaign.distributed.exchange import Exchange, Mirror, send_findings
from zsfuzz.campaign.schedule import Assignment
from zsfuzz.campaign.slot import Running
from zsfuzz.campaign.worker import LocalSpawn, Order, Spawn
from zsfuzz.corpus.keeper import InputKeeper
from zstools.fastmodules import ensure_fast_modules
from zstools.kernel import KernelSpec, ensure_kernel

EVERY = 1.0  # seconds between exchanges
GRACE = 90.0  # seconds that the explorer has to end in order


@dataclass(frozen=True)
class TaskOrder:
    """What a task is to do; it is pickled, so it names a kernel, but does not hold it."""

    worker: int
    url: str
    spec: KernelSpec
    faults: str
    seed: int
    seconds: float
    max_operations: int
    stall_seconds: float


def run_task(order: TaskOrder, make: Callable[[TaskOrder, Path], tuple[Spawn, Order]]) -> str:
    """Run an explorer and exchange what it finds until it ends; says why it did."""
    exchange = Exchange(order.url)
    # Dask removes what is in there also when its worker was killed.
    folder = get_worker().local_directory
    root = Path(tempfile.mkdtemp(prefix=f"zsfuzz-campaign-{order.worker}-", dir=folder))
    try:
        return _Task(order, exchange, root, make).run()
    finally:
        shutil.rmtree(root, ignore_errors=True)


class _Task:
    def __init__(
        self, order: TaskOrder, exchange: Exchange, root: Path,
        make: Callable[[TaskOrder, Path], tuple[Spawn, Order]],
    ) -> None:  # fmt: skip
        self.order = order
        self.exchange = exchange
        self.root = root
        self.make = make
        # A task that was begun anew on another machine counts on from what the first one did.
        self.before: dict[str, Any] = exchange.reported(order.worker)
        self.mirror = Mirror(exchange, "corpus", root / "corpus")
        self.sent: dict[str, int] = {}

    def run(self) -> str:
        self.mirror.both_ways()
        limit = self.order.max_operations
        self.store = CorpusStore(
            self.root / "corpus", self.root / "pool", limit, self.root / "damaged"
        )
        spawn, local = self.make(self.order, self.root)
        worker = spawn(local)
        keeper = InputKeeper(local.work / "inputs", limit, self.store.add)
        self.running = Running(local, worker, keeper, time.monotonic())
        self.running.last_beat = self.running.started
        try:
            return self._watch()
        finally:
            worker.kill()
            self._exchange()
            self.store.close()

    def _watch(self) -> str:
        one, asked = self.running, None
        while (why := one.worker.ended()) is None:
            time.sleep(EVERY)
            self._exchange()
            now = time.monotonic()
            if asked is None and f"{self.order.worker}" in self.exchange.names("stop"):
                one.worker.ask_to_stop()
                asked = now
            if asked is not None and now - asked > GRACE:
                return f"did not end {GRACE:g} s after it was asked"
            beats = one.worker.counters().get("beats", 0)
            if one.stalled(now, beats, self.order.stall_seconds):
                return f"stalled: no program for {self.order.stall_seconds:g} s"
        return why

    def _exchange(self) -> None:
        if self.running.keeper:
            self.running.keeper.keep()
        self.mirror.both_ways()
        self.store.look_now()
        send_findings(self.exchange, self.root, self.order.spec.design, self.sent)
        self.exchange.report(self.order.worker, self._report())

    def _report(self) -> dict[str, Any]:
        worker = self.running.worker
        counters, hits = dict(worker.counters()), worker.hits()
        for name, count in self.before.get("counters", {}).items():
            counters[name] = counters.get(name, 0) + count
        earlier = self.before.get("hits") or []
        if len(earlier) == len(hits):
            hits = [a + b for a, b in zip(earlier, hits, strict=True)]
        return {"counters": counters, "hits": hits or earlier}


def local_explorer(order: TaskOrder, root: Path) -> tuple[Spawn, Order]:
    """Build or find the kernel on this machine, and describe the explorer on it."""
    kernel = ensure_kernel(order.spec)
    local = Order(
        worker=order.worker, slot=0, assignment=Assignment(kernel, order.faults),
        work=root / "work", seed=order.seed, seconds=order.seconds,
        max_operations=order.max_operations,
    )  # fmt: skip
    return LocalSpawn(root, root / "pool", [kernel], ensure_fast_modules()), local
