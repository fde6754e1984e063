# SPDX-License-Identifier: GPL-2.0-only
"""The crew: a worker at every slot, looked at each tick, and what it left taken up."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from zsfuzz.campaign.corpusstore import CorpusStore
from zsfuzz.campaign.distiller import Distiller
from zsfuzz.campaign.layout import Layout
from zsfuzz.campaign.leftovers import KILLED, keep_all
from zsfuzz.campaign.options import Options
from zsfuzz.campaign.recorder import Recorder
from zsfuzz.campaign.schedule import Assignment, Schedule
from zsfuzz.campaign.slot import Backoff, Running, Slot
from zsfuzz.campaign.state import State
from zsfuzz.campaign.troubles import DISK_ERRORS, Troubles
from zsfuzz.campaign.worker import OFFER, Order, Spawn, Worker
from zsfuzz.corpus.keeper import InputKeeper
from zsfuzz.pool import Offer
from zstools.kernel import Kernel

TICK = 0.25  # seconds
FEW = 100  # programs that are not worth distilling for
KILL_LIMIT = 10.0  # seconds that killed ones have
STOP_LIMIT = 90.0  # seconds that workers have to end in order
IN_ORDER = "in order"


class Crew:
    """The slots of one run of a campaign; what fails at one of them does not stop the others."""

    def __init__(
        self, layout: Layout, options: Options, state: State, store: CorpusStore,
        recorder: Recorder, troubles: Troubles, kernels: Sequence[Kernel],
    ) -> None:  # fmt: skip
        self._layout = layout
        self.options = options
        self._state = state
        self._store = store
        self._recorder = recorder
        self._troubles = troubles
        self.slots = [Slot(number, Backoff()) for number in range(options.jobs)]
        self.ran = 0  # workers that ran a program, in this run
        self.died = 0
        pairs = [Assignment(k, f) for f in options.faults for k in kernels]
        self._schedule = Schedule(pairs, options.slice_seconds)
        self._distiller = Distiller(pair.key for pair in pairs)
        query = (
            "SELECT kernel, faults, SUM(iif(ended IN (?, ?), seconds, max(seconds, ?))) AS had"
            " FROM workers GROUP BY kernel, faults"
        )
        for row in state.rows(query, IN_ORDER, KILLED, options.slice_seconds):
            self._schedule.had((row["kernel"], row["faults"]), row["had"])

    @property
    def running(self) -> list[Running]:
        """The workers that run, or whose leavings are still to be taken up."""
        return [slot.running for slot in self.slots if slot.running]

    def tick(self, spawn: Spawn, *, full: bool) -> None:
        """Look at every worker, and start those that are due; none on a full disk."""
        now = time.monotonic()
        for slot in self.slots:
            self._troubles.guarded(_at(slot), partial(self._run, slot, spawn, now, full))

    def keep(self) -> None:
        """Take up the inputs that workers have saved so far."""
        for one in self.running:
            if one.keeper:
                one.keeper.keep()

    def end(self, wait: Callable[[float], None]) -> None:
        """End all workers, in order if they can."""
        for one in self.running:
            self._troubles.guarded("end workers", one.worker.ask_to_stop)
        for one in self._await(STOP_LIMIT, wait):
            self._troubles.guarded("end workers", one.worker.kill)
            one.killed = f"did not end {STOP_LIMIT:g} s after it was asked"
        self._await(KILL_LIMIT, wait)

    def take_up(self) -> None:
        """Take up what the ended workers left."""
        now = time.monotonic()
        for slot in self.slots:
            if slot.running:
                self._troubles.guarded(_at(slot), partial(self._look_at, slot, slot.running, now))

    def check_taken_up(self) -> None:
        """Raise OSError if a worker's leavings could not be taken up; the next start does it."""
        for slot in self.slots:
            if slot.running:
                raise OSError(self._troubles.why(_at(slot)) or f"worker {slot.number} does not end")

    def _await(self, seconds: float, wait: Callable[[float], None]) -> list[Running]:
        """Wait until all have ended, for so long at most; gives those that have not."""
        running, until = self.running, time.monotonic() + seconds
        while (left := list(filter(_runs, running))) and time.monotonic() < until:
            wait(TICK / 4)
        return left

    # ---- one slot ---------------------------------------------------------------------------

    def _run(self, slot: Slot, spawn: Spawn, now: float, full: bool) -> None:
        if slot.running:
            self._look_at(slot, slot.running, now)
            if full and slot.running:  # it saves what it has while there is space
                slot.running.worker.ask_to_stop()
        elif not full and slot.backoff.over(now):
            self._start(slot, spawn, now)

    def _start(self, slot: Slot, spawn: Spawn, now: float) -> None:
        assignment = self._schedule.take()
        try:
            slot.running = self._spawn(slot, assignment, spawn, now)
        except BaseException:
            self._schedule.give_back(assignment, 0, died=True)
            slot.backoff.died(now, 0)
            raise

    def _spawn(self, slot: Slot, assignment: Assignment, spawn: Spawn, now: float) -> Running:
        with self._state.transaction():
            number = self._state.insert(
                "workers", run=self._recorder.run, slot=slot.number, kernel=assignment.kernel.key,
                faults=assignment.faults, place="", at=self._recorder.clock.at,
            )  # fmt: skip
        order = Order(
            worker=number, slot=slot.number, assignment=assignment,
            work=self._layout.work / str(number), pool=self._layout.pools / str(number),
            seed=(self.options.seed + number) % 2**32,
            seconds=self.options.slice_seconds, max_operations=self.options.max_operations,
        )  # fmt: skip
        try:
            self._store.open_pool(order.pool)
            worker = spawn(order)
            self._name(worker, number)
        except BaseException as error:
            self._store.close_pool(order.pool)
            with suppress(sqlite3.OperationalError):
                self._state.update("workers", number, ended=f"not started: {error}")
            raise
        keeper = InputKeeper(order.work / "inputs", order.max_operations, self._store.add)
        return Running(order, worker, keeper, now, last_beat=now)

    def _name(self, worker: Worker, number: int) -> None:
        """Let the next start know which process it is; one that cannot be named does not run."""
        known = worker.identity
        try:
            with self._state.transaction():
                self._state.update(
                    "workers", number, place=worker.place,
                    pid=known.pid if known else None, birth=known.birth if known else None,
                )  # fmt: skip
        except BaseException:
            worker.kill()
            raise

    def _look_at(self, slot: Slot, one: Running, now: float) -> None:
        one.why = one.worker.ended() if one.why is None else one.why
        counters = one.worker.counters()
        kernel = one.order.assignment.kernel.key
        self._recorder.saw(one.order.worker, kernel, counters, one.worker.hits())
        if one.why is not None:
            self._close(slot, one, now)
        elif one.stalled(now, counters.get("beats", 0), self.options.stall_seconds):
            one.killed = f"stalled: no program for {self.options.stall_seconds:g} s"
            one.worker.kill()

    def _close(self, slot: Slot, one: Running, now: float) -> None:
        """Take up all that a worker left; what raises here is done again at the next tick."""
        keep_all(one.order.work, one.order.max_operations, self._store.add, one.keeper)
        ran = one.worker.counters().get("programs", 0) > 0
        why = one.killed or one.why or ""
        number = one.order.worker
        self._recorder.worker_ended(number, why.splitlines()[0] if why else IN_ORDER)
        self._note_kept(one, why)
        shutil.rmtree(one.order.work, ignore_errors=True)
        slot.running = None
        self._schedule.give_back(one.order.assignment, now - one.started, died=bool(why))
        self.ran += ran
        if why:
            self.died += 1
            pause = slot.backoff.died(now, now - one.started)
            kind = "stalled" if one.killed else "died"
            first, _, words = why.partition("\n")
            text = f"{first} (next one in {pause:g} s)\n{words}".strip()
            self._recorder.event(kind, text, number)
        else:
            slot.backoff.lived()
        self._distil()

    def _note_kept(self, one: Running, why: str) -> None:
        """See what a worker that ended in order kept of the programs that it was offered."""
        offered, offer = self._store.close_pool(one.order.pool), Offer.load(one.order.work / OFFER)
        if why or offer is None or one.keeper is None:
            return
        ran = set(offered[: offer.read]) - offer.left
        with suppress(OSError):
            kept = one.keeper.present()
            self._distiller.ended(one.order.assignment.key, ran, kept, one.keeper.new)

    def _distil(self) -> None:
        """Remove programs that no kernel needs any more, once there are enough of them."""
        gone = self._distiller.redundant() & self._store.digests
        if len(gone) > max(FEW, len(self._store) // 10):
            told = f"{len(gone)} of {len(self._store)} programs no kernel needs"
            self._recorder.event_now("distilled", told)
            self._store.retire(gone)
            self._distiller.forget(gone)


def _runs(one: Running) -> bool:
    try:
        return one.worker.ended() is None
    except DISK_ERRORS:  # nobody knows, so it may
        return True


def _at(slot: Slot) -> str:
    return f"run worker {slot.number}"
