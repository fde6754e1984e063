# SPDX-License-Identifier: GPL-2.0-only
"""The supervisor's side: workers are tasks of a Dask scheduler, which runs them somewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from distributed import Client

from zsfuzz.campaign.distributed.exchange import Exchange, Mirror, fetch_findings
from zsfuzz.campaign.distributed.task import TaskOrder, local_explorer, run_task
from zsfuzz.campaign.identity import Identity
from zsfuzz.campaign.worker import Order, Spawn, Worker
from zsfuzz.errors import HarnessError

if TYPE_CHECKING:
    from zsfuzz.campaign.session import Session

CONNECT_SECONDS = 30
RETRIES = 3  # times that Dask begins a task anew after an exception of its own
POLL_EVERY = 1.0  # seconds between looks at the exchange


class DaskWorker:
    """One task; counts come from the reports that it writes into the exchange."""

    identity: Identity | None = None  # its process is somewhere else

    def __init__(self, order: Order, future: Any, link: Link) -> None:
        self.place = link.address
        self._order = order
        self._future = future
        self._link = link
        self._report: dict[str, Any] = {}
        self._polled = 0.0

    def ended(self) -> str | None:
        """Say why the task ended; Dask begins it anew elsewhere when its worker dies."""
        if not self._future.done():
            return None
        self._poll(now=True)
        self._link.forget(self._order.worker)
        if self._future.status == "cancelled":
            return "cancelled"
        if self._future.status == "finished":
            return str(self._future.result())
        return f"task {self._future.status}: {self._future.exception()}"

    def _poll(self, *, now: bool = False) -> None:
        if now or time.monotonic() - self._polled > POLL_EVERY:
            self._polled = time.monotonic()
            self._report = self._link.exchange.reported(self._order.worker) or self._report

    def counters(self) -> dict[str, int]:
        """Give the counters of the last report."""
        self._poll()
        return dict(self._report.get("counters", {}))

    def hits(self) -> list[int]:
        """Give the hits of the last report."""
        self._link.sync()
        return list(self._report.get("hits") or [])

    def ask_to_stop(self) -> None:
        """Leave word in the exchange."""
        self._link.exchange.write(f"stop/{self._order.worker}", b"")

    def kill(self) -> None:
        """Cancel the task if it waits; one that runs sees the word in the exchange."""
        self.ask_to_stop()
        self._future.cancel()


class Link:
    """The connection of one campaign with a scheduler and an exchange."""

    def __init__(self, session: Session, client: Client, make: Callable[..., Any]) -> None:
        self.address = str(session.options.scheduler)
        self.exchange = Exchange(session.options.exchange or str(session.root))
        self._session = session
        self._client = client
        self._make = make
        self._mirror = Mirror(self.exchange, "corpus", session.root / "corpus")
        self._synced = 0.0

    def end_orphans(self) -> None:
        """Let tasks end that a killed supervisor has left; what they found is in the exchange."""
        left = {name.removesuffix(".json") for name in self.exchange.names("reports")}
        for worker in self.exchange.names("stop") - left:
            self.exchange.remove(f"stop/{worker}")
        for worker in left:
            self.exchange.write(f"stop/{worker}", b"")
            self.exchange.remove(f"reports/{worker}.json")

    def spawn(self, order: Order) -> Worker:
        """Submit a task; raises OSError."""
        options = self._session.options
        (order.work / "inputs").mkdir(parents=True, exist_ok=True)
        task = TaskOrder(
            worker=order.worker, url=self.exchange.url, spec=order.assignment.kernel.spec,
            faults=order.assignment.faults, seed=order.seed, seconds=order.seconds,
            max_operations=order.max_operations, stall_seconds=options.stall_seconds,
        )  # fmt: skip
        self.forget(order.worker)
        future = self._client.submit(run_task, task, self._make, pure=False, retries=RETRIES)
        return DaskWorker(order, future, self)

    def sync(self) -> None:
        """Exchange programs, and fetch findings, once a second for all workers."""
        if time.monotonic() - self._synced < POLL_EVERY:
            return
        self._synced = time.monotonic()
        self._mirror.both_ways()
        for design in self._session.options.designs:
            fetch_findings(self.exchange, self._session.root, design)

    def forget(self, worker: int) -> None:
        """Remove what was exchanged for one worker only, once it has been read."""
        self.exchange.remove(f"stop/{worker}")
        self.exchange.remove(f"reports/{worker}.json")


@contextmanager
def connect(session: Session, make: Callable[..., Any] = local_explorer) -> Iterator[Spawn]:
    """Connect to the scheduler; HarnessError if nobody answers there."""
    try:
        client = Client(session.options.scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except OSError as error:
        address = session.options.scheduler
        raise HarnessError(
            f"no Dask scheduler answers at {address}: start one by `dask scheduler`"
        ) from error
    try:
        link = Link(session, client, make)
        link.end_orphans()
        yield link.spawn
    finally:
        client.close()
