# SPDX-License-Identifier: GPL-2.0-only
"""What a Dask worker runs: one explorer with its guest, in a scratch folder of its machine."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import get_worker

from zsfuzz.campaign.corpusstore import CorpusStore
from zsfuzz.campaign.distributed.exchange import Exchange, FindingSender, Mirror
from zsfuzz.campaign.schedule import Assignment
from zsfuzz.campaign.slot import Running
from zsfuzz.campaign.worker import LocalSpawn, Order, Spawn, Worker
from zsfuzz.corpus.keeper import InputKeeper
from zstools.fastmodules import ensure_fast_modules
from zstools.kernel import KernelSpec, ensure_kernel

EVERY = 1.0  # seconds between exchanges
FAILURES = 30  # exchanges in a row after which a task gives up
GRACE = 90.0  # seconds that the explorer has to end in order


@dataclass(frozen=True)
class TaskOrder:
    """What a task is to do; it is pickled, so it names a kernel, but does not hold it."""

    worker: int
    url: str
    spec: KernelSpec
    key: str  # of the supervisor's build: only hits of the same build can be added to its own
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
        self.findings = FindingSender(exchange, root, order.spec.design)
        self.failed = 0  # exchanges, one after the other

    def run(self) -> str:
        with self._sign_of_life():
            self.mirror.both_ways()
            self.findings.know()
            self.store = CorpusStore(
                self.root / "corpus", self.order.max_operations, self.root / "damaged"
            )
        with closing(self.store):
            with self._sign_of_life():
                spawn, local = self.make(self.order, self.root)
            self.store.open_pool(local.pool)
            return self._explore(spawn(local), local)

    @contextmanager
    def _sign_of_life(self) -> Iterator[None]:
        """Report now and then, so that what takes long before the first program is no stall."""
        over = threading.Event()

        def report() -> None:
            counters = dict(self.before.get("counters", {}))
            while not over.wait(EVERY):
                counters["beats"] = counters.get("beats", 0) + 1
                with suppress(OSError):
                    self.exchange.report(self.order.worker, {**self.before, "counters": counters})

        thread = threading.Thread(target=report, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _explore(self, worker: Worker, local: Order) -> str:
        keeper = InputKeeper(local.work / "inputs", self.order.max_operations, self.store.add)
        self.running = Running(local, worker, keeper, time.monotonic())
        self.running.last_beat = self.running.started
        try:
            return self._watch()
        finally:
            worker.kill()
            self._exchange()

    def _watch(self) -> str:
        one, asked = self.running, None
        while (why := one.worker.ended()) is None:
            time.sleep(EVERY)
            self._try_to_exchange()
            now = time.monotonic()
            if asked is None and self._is_asked_to_stop():
                one.worker.ask_to_stop()
                asked = now
            if asked is not None and now - asked > GRACE:
                return f"did not end {GRACE:g} s after it was asked"
            beats = one.worker.counters().get("beats", 0)
            if one.stalled(now, beats, self.order.stall_seconds):
                return f"stalled: no program for {self.order.stall_seconds:g} s"
        return why

    def _is_asked_to_stop(self) -> bool:
        with suppress(OSError):
            return f"{self.order.worker}" in self.exchange.names("stop")
        return False

    def _try_to_exchange(self) -> None:
        """Exchange, but for an exchange that does not answer for a while."""
        try:
            self._exchange()
        except OSError:
            self.failed += 1
            if self.failed >= FAILURES:
                raise
        else:
            self.failed = 0

    def _exchange(self) -> None:
        if self.running.keeper:
            self.running.keeper.keep()
        self.mirror.both_ways()
        self.store.look_now()
        self.findings.send()
        self.exchange.report(self.order.worker, self._report())

    def _report(self) -> dict[str, Any]:
        worker = self.running.worker
        counters = dict(worker.counters())
        same = self.running.order.assignment.kernel.key == self.order.key
        hits = worker.hits() if same else []
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
        work=root / "work", pool=root / "pool", seed=order.seed, seconds=order.seconds,
        max_operations=order.max_operations,
    )  # fmt: skip
    return LocalSpawn(root, [kernel], ensure_fast_modules()), local
