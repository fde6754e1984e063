# SPDX-License-Identifier: GPL-2.0-only
"""The supervisor's side: workers are tasks of a Dask scheduler, which runs them somewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from distributed import Client
from distributed.client import ClosedClientError
from distributed.comm.core import CommClosedError

from zsfuzz.campaign.distributed.exchange import Exchange, FindingFetcher, Mirror
from zsfuzz.campaign.distributed.task import TaskOrder, local_explorer, run_task
from zsfuzz.campaign.identity import Identity
from zsfuzz.campaign.state import State
from zsfuzz.campaign.worker import Order, Spawn, Worker
from zsfuzz.errors import HarnessError

if TYPE_CHECKING:
    from zsfuzz.campaign.session import Session

CONNECT_SECONDS = 30
RECONNECT_SECONDS = 5  # in which the supervisor does nothing else
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
        if self._future.status == "cancelled":  # it may run on until it sees the word to end
            self._link.forget_report(self._order.worker)
            return "cancelled"
        self._link.forget(self._order.worker)
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
        with _as_oserror():
            self._future.cancel()


@contextmanager
def _as_oserror() -> Iterator[None]:
    """Take a scheduler that is gone for what may come back."""
    try:
        yield
    except (ClosedClientError, CommClosedError) as error:
        raise OSError(f"the Dask scheduler does not answer: {error}") from error


class Link:
    """The connection of one campaign with a scheduler and an exchange."""

    def __init__(self, session: Session, client: Client, make: Callable[..., Any]) -> None:
        self.address = str(session.options.scheduler)
        self.exchange = Exchange(session.options.exchange or str(session.root))
        self._session = session
        self.client = client
        self._make = make
        self._mirror = Mirror(self.exchange, "corpus", session.root / "corpus")
        self._findings = FindingFetcher(self.exchange, session.root)
        self._synced = 0.0

    def end_orphans(self) -> None:
        """Let tasks end that a killed supervisor has left, and enter what they did since."""
        left = {name.removesuffix(".json") for name in self.exchange.names("reports")}
        for worker in self.exchange.names("stop") - left:
            self.exchange.remove(f"stop/{worker}")
        with State.write(self._session.root) as state:
            for worker in left:
                self.exchange.write(f"stop/{worker}", b"")
                self._enter(state, worker)
                self.exchange.remove(f"reports/{worker}.json")

    def _enter(self, state: State, worker: str) -> None:
        """Take up the last report of a worker that the database does not know to have ended."""
        query = "SELECT id, kernel, programs FROM workers WHERE id = ? AND ended IS NULL"
        report = self.exchange.reported(worker)
        for row in state.rows(query, worker):
            with state.transaction():
                state.worker_left(row, report.get("counters", {}), report.get("hits") or [])

    def spawn(self, order: Order) -> Worker:
        """Submit a task; raises OSError."""
        self._reconnect()
        options = self._session.options
        (order.work / "inputs").mkdir(parents=True, exist_ok=True)
        task = TaskOrder(
            worker=order.worker, url=self.exchange.url, spec=order.assignment.kernel.spec,
            key=order.assignment.kernel.key, faults=order.assignment.faults,
            seed=order.seed, seconds=order.seconds,
            max_operations=order.max_operations, stall_seconds=options.stall_seconds,
        )  # fmt: skip
        self.forget(order.worker)
        with _as_oserror():
            future = self.client.submit(run_task, task, self._make, pure=False, retries=RETRIES)
        return DaskWorker(order, future, self)

    def _reconnect(self) -> None:
        """Connect anew after the scheduler was gone for so long that the client has closed."""
        if self.client.status == "closed":
            self.client = _client(self.address, timeout=RECONNECT_SECONDS)

    def sync(self) -> None:
        """Exchange programs, and fetch findings, once a second for all workers."""
        if time.monotonic() - self._synced < POLL_EVERY:
            return
        self._synced = time.monotonic()
        self._mirror.both_ways()
        for design in self._session.options.designs:
            self._findings.fetch(design)

    def forget(self, worker: int) -> None:
        """Remove what was exchanged for one worker only, once it has been read."""
        self.exchange.remove(f"stop/{worker}")
        self.forget_report(worker)

    def forget_report(self, worker: int) -> None:
        """Remove what a task told."""
        self.exchange.remove(f"reports/{worker}.json")


def _client(address: str, timeout: float) -> Client:
    return Client(address, timeout=timeout, set_as_default=False)


@contextmanager
def connect(session: Session, make: Callable[..., Any] = local_explorer) -> Iterator[Spawn]:
    """Connect to the scheduler; HarnessError if nobody answers there."""
    address = str(session.options.scheduler)
    try:
        client = _client(address, CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise HarnessError(
            f"no Dask scheduler answers at {address}: start one by `dask scheduler`, "
            "and give the address that it prints, as tcp://HOST:PORT"
        ) from error
    link = Link(session, client, make)
    try:
        link.end_orphans()
        yield link.spawn
    finally:
        link.client.close()
