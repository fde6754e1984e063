# SPDX-License-Identifier: GPL-2.0-only
"""The supervisor: keeps every slot busy, takes up what workers find, and survives what they do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from subprocess import SubprocessError

from zsfuzz.atomic import TEMPORARY, make_directory, replace_file
from zsfuzz.campaign.corpusstore import CorpusStore
from zsfuzz.campaign.database import CampaignBusy
from zsfuzz.campaign.disk import DiskWatch
from zsfuzz.campaign.distiller import Distiller
from zsfuzz.campaign.identity import Identity
from zsfuzz.campaign.layout import Layout
from zsfuzz.campaign.leftovers import KILLED, keep_all, remove_scratch, take_up
from zsfuzz.campaign.options import Options
from zsfuzz.campaign.recorder import Clock, Recorder
from zsfuzz.campaign.restoring import last_options, restore
from zsfuzz.campaign.schedule import Assignment, Schedule
from zsfuzz.campaign.slot import Backoff, Running, Slot
from zsfuzz.campaign.state import State
from zsfuzz.campaign.worker import OFFER, Order, Spawn, Worker
from zsfuzz.corpus.keeper import InputKeeper
from zsfuzz.corpusfile import load_dir
from zsfuzz.errors import HarnessError, OutputLost
from zsfuzz.pool import Offer
from zstools.kernel import Kernel

TICK = 0.25  # seconds
FEW = 100  # programs that are not worth distilling for
RECORD_EVERY = 1.0  # seconds, so that a kill of everything loses no more
KILL_LIMIT = 10.0  # seconds that killed ones have
STOP_LIMIT = 90.0  # seconds that workers have to end in order
# What a full disk, or an exchange that does not answer, may prevent for a while.
DISK_ERRORS = (sqlite3.OperationalError, CampaignBusy, OutputLost, OSError, SubprocessError)
IN_ORDER = "in order"


class Supervisor:
    """Run a campaign until its time is over, or `stop` is called; the caller holds its lock.

    `spawn` starts workers; `show` is called once a second.
    """

    def __init__(
        self, root: Path, options: Options, kernels: Sequence[Kernel],
        wait: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self.layout = Layout(root)
        self.options = options
        self.kernels = list(kernels)
        self._troubles: dict[str, str] = {}  # what cannot be done now, and why
        self.ran = 0  # workers that ran a program, in this run
        self.died = 0
        self._wait = wait
        self._stop_asked = False
        self.slots = [Slot(number, Backoff()) for number in range(options.jobs)]

    def stop(self) -> None:
        """End soon, in order."""
        self._stop_asked = True

    # ---- from beginning to end --------------------------------------------------------------

    def open(self) -> None:
        """Take up what the last run left, and enter this one; raises as DISK_ERRORS says."""
        layout, options = self.layout, self.options
        self.state = State.write(layout.root)
        for path in layout.root.glob(f"{TEMPORARY}*"):  # of a write that a kill has cut short
            path.unlink(missing_ok=True)
        make_directory(layout.work)
        self.store = CorpusStore(layout.corpus, options.max_operations, layout.damaged)
        left, saved = take_up(self.state, self.store.add)
        self.restored = restore(self.state)
        make_directory(layout.work)
        self._name_supervisor()
        last = last_options(self.state)
        begin_with = () if last and self._had(last) else options.corpus
        clock = Clock(self.state.seconds())
        with self.state.transaction():
            run = self.state.insert(
                "runs", wall=time.time(), at=clock.before, pid=os.getpid(),
                host=socket.gethostname(), options=options.as_json(),
            )  # fmt: skip
        self.recorder = Recorder(self.state, run, clock)
        for kernel in self.kernels:
            self.recorder.know_kernel(kernel)
        self._plan()
        self._note_start(left, saved)
        self._begin_with(begin_with)
        self.disk = DiskWatch(layout.root, options.reserve)

    def _name_supervisor(self) -> None:
        me = Identity.of(os.getpid())
        facts = {"pid": os.getpid(), "birth": me.birth if me else "", "host": socket.gethostname()}
        replace_file(self.layout.supervisor, json.dumps(facts).encode(), durable=False)

    def _plan(self) -> None:
        pairs = [Assignment(k, f) for f in self.options.faults for k in self.kernels]
        self.schedule = Schedule(pairs, self.options.slice_seconds)
        self.distiller = Distiller(pair.key for pair in pairs)
        query = (
            "SELECT kernel, faults, SUM(iif(ended IN (?, ?), seconds, max(seconds, ?))) AS had"
            " FROM workers GROUP BY kernel, faults"
        )
        for row in self.state.rows(query, IN_ORDER, KILLED, self.options.slice_seconds):
            self.schedule.had((row["kernel"], row["faults"]), row["had"])

    def _note_start(self, left: int, saved: int) -> None:
        event = self.recorder.event
        event("start", f"workers: {len(self.slots)}, kernels: {len(self.kernels)}")
        if self.restored:
            event("damage", f"the database had forgotten {self.restored:,} programs")
        if left:
            event("recovery", f"{left} workers were killed with the campaign, {saved} inputs kept")

    def _had(self, last: str) -> bool:
        """Tell whether the programs to begin with are those of the last start."""
        return Options.from_json(last).corpus == self.options.corpus

    def _begin_with(self, folders: Sequence[str]) -> None:
        for folder in folders:
            entries, broken = load_dir(Path(folder))
            for entry in entries:
                self.store.add(entry.program, entry.note)
            for error in broken:
                self.recorder.event("damage", str(error))

    def run(self, spawn: Spawn, seconds: float | None, show: Callable[[], None]) -> None:
        """Supervise; HarnessError if no worker ever ran a program."""
        recorded = looked = -RECORD_EVERY
        clock = self.recorder.clock
        why = "failed"
        try:
            while not self._over(seconds):
                self._guarded("run", lambda: self._tick(spawn))
                if clock.run_seconds - recorded >= RECORD_EVERY:
                    recorded = clock.run_seconds
                    self._guarded("save", self._record)
                if clock.run_seconds - looked >= RECORD_EVERY:
                    looked = clock.run_seconds
                    self._guarded("show", show)
                self._wait(TICK)
            why = "stopped" if self._stop_asked else "time"
        finally:
            self._finish(why)
        if "save" in self._troubles:
            raise HarnessError(
                f"{self.layout.root}: the end could not be saved: {self._troubles['save']}: "
                "once there is space, start again: all that is there is taken up"
            )
        if not self.ran and self.died:
            raise HarnessError(
                f"no worker ran a program, and {self.died} ended: "
                f"`zsfuzz campaign status {self.layout.root}` shows their last words"
            )

    def _over(self, seconds: float | None) -> bool:
        late = seconds is not None and self.recorder.clock.run_seconds >= seconds
        return self._stop_asked or late

    @property
    def troubles(self) -> list[str]:
        """Say what a full disk, perhaps, prevents now; the database may not be able to."""
        return [f"cannot {what}: {why}" for what, why in sorted(self._troubles.items())]

    def _guarded(self, what: str, action: Callable[[], None]) -> None:
        """Do what a full disk may prevent; it is done again at the next tick, and told of once."""
        try:
            action()
        except DISK_ERRORS as error:
            if what not in self._troubles:
                self.recorder.event("disk", f"cannot {what}: {error}")
            self._troubles[what] = str(error)
        else:
            self._troubles.pop(what, None)

    def _finish(self, why: str) -> None:
        """End all workers, in order if they can, and write all that is known."""
        running = [slot.running for slot in self.slots if slot.running]
        for one in running:
            self._guarded("end workers", one.worker.ask_to_stop)
        for one in self._await(running, STOP_LIMIT):
            self._guarded("end workers", one.worker.kill)
            one.killed = f"did not end {STOP_LIMIT:g} s after it was asked"
        self._await(running, KILL_LIMIT)
        self._guarded("save", lambda: self._save_all(why))
        self.store.close()
        self.state.close()

    def _await(self, running: Sequence[Running], seconds: float) -> list[Running]:
        """Wait until all have ended, for so long at most; gives those that have not."""
        until = time.monotonic() + seconds
        while (left := list(filter(_runs, running))) and time.monotonic() < until:
            self._wait(TICK / 4)
        return left

    def _save_all(self, why: str) -> None:
        now = time.monotonic()
        for slot in self.slots:
            if slot.running:
                self._guarded(_at(slot), partial(self._look_at, slot, slot.running, now))
        self._record()
        for slot in self.slots:
            if slot.running:  # what it left stays for the next start
                raise OSError(self._troubles[_at(slot)])
        self.recorder.event("end", why)
        with self.state.transaction():
            self.state.update("runs", self.recorder.run, ended=why)
        self.recorder.write(len(self.store), 0)
        remove_scratch(self.layout)

    # ---- every tick -------------------------------------------------------------------------

    def _tick(self, spawn: Spawn) -> None:
        full = self.disk.look()
        now = time.monotonic()
        for slot in self.slots:  # what fails at one of them does not stop the others
            self._guarded(_at(slot), partial(self._run, slot, spawn, now, full))
        if full:
            raise OSError(f"less than {self.options.reserve} MiB free: workers wait for more")

    def _run(self, slot: Slot, spawn: Spawn, now: float, full: bool) -> None:
        if slot.running:
            self._look_at(slot, slot.running, now)
            if full and slot.running:  # it saves what it has while there is space
                slot.running.worker.ask_to_stop()
        elif not full and slot.backoff.over(now):
            self._start(slot, spawn, now)

    def _record(self) -> None:
        for slot in self.slots:
            if slot.running and slot.running.keeper:
                slot.running.keeper.keep()
        if self.store.look_now() and self.options.scheduler is None:
            self.recorder.event("corpus", "programs were put into the corpus from outside")
        for bad in self.store.take_bad():
            self.recorder.event("damage", bad)
        self.store.sync()
        self.recorder.look_for_findings()
        if self.options.scheduler is None:  # an exchange would bring the counts again
            self.recorder.findings.fold()
        self.recorder.write(len(self.store), sum(1 for slot in self.slots if slot.running))

    # ---- one slot ---------------------------------------------------------------------------

    def _start(self, slot: Slot, spawn: Spawn, now: float) -> None:
        assignment = self.schedule.take()
        try:
            slot.running = self._spawn(slot, assignment, spawn, now)
        except BaseException:
            self.schedule.give_back(assignment, 0, died=True)
            slot.backoff.died(now, 0)
            raise

    def _spawn(self, slot: Slot, assignment: Assignment, spawn: Spawn, now: float) -> Running:
        with self.state.transaction():
            number = self.state.insert(
                "workers", run=self.recorder.run, slot=slot.number, kernel=assignment.kernel.key,
                faults=assignment.faults, place="", at=self.recorder.clock.at,
            )  # fmt: skip
        order = Order(
            worker=number, slot=slot.number, assignment=assignment,
            work=self.layout.work / str(number), pool=self.layout.pools / str(number),
            seed=(self.options.seed + number) % 2**32,
            seconds=self.options.slice_seconds, max_operations=self.options.max_operations,
        )  # fmt: skip
        try:
            self.store.open_pool(order.pool)
            worker = spawn(order)
            self._name(worker, number)
        except BaseException as error:
            self.store.close_pool(order.pool)
            with suppress(sqlite3.OperationalError):
                self.state.update("workers", number, ended=f"not started: {error}")
            raise
        keeper = InputKeeper(order.work / "inputs", order.max_operations, self.store.add)
        return Running(order, worker, keeper, now, last_beat=now)

    def _name(self, worker: Worker, number: int) -> None:
        """Let the next start know which process it is; one that cannot be named does not run."""
        known = worker.identity
        try:
            with self.state.transaction():
                self.state.update(
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
        self.recorder.saw(one.order.worker, kernel, counters, one.worker.hits())
        if one.why is not None:
            self._close(slot, one, now)
        elif one.stalled(now, counters.get("beats", 0), self.options.stall_seconds):
            one.killed = f"stalled: no program for {self.options.stall_seconds:g} s"
            one.worker.kill()

    def _close(self, slot: Slot, one: Running, now: float) -> None:
        """Take up all that a worker left; what raises here is done again at the next tick."""
        keep_all(one.order.work, one.order.max_operations, self.store.add, one.keeper)
        ran = one.worker.counters().get("programs", 0) > 0
        why = one.killed or one.why or ""
        number = one.order.worker
        self.recorder.worker_ended(number, why.splitlines()[0] if why else IN_ORDER)
        self._note_kept(one, why)
        shutil.rmtree(one.order.work, ignore_errors=True)
        slot.running = None
        self.schedule.give_back(one.order.assignment, now - one.started, died=bool(why))
        self.ran += ran
        if why:
            self.died += 1
            pause = slot.backoff.died(now, now - one.started)
            kind = "stalled" if one.killed else "died"
            first, _, words = why.partition("\n")
            text = f"{first} (next one in {pause:g} s)\n{words}".strip()
            self.recorder.event(kind, text, number)
        else:
            slot.backoff.lived()
        self._distil()

    def _note_kept(self, one: Running, why: str) -> None:
        """See what a worker that ended in order kept of the programs that it was offered."""
        offered, offer = self.store.close_pool(one.order.pool), Offer.load(one.order.work / OFFER)
        if why or offer is None or one.keeper is None:
            return
        ran = set(offered[: offer.read]) - offer.left
        with suppress(OSError):
            kept = one.keeper.present()
            self.distiller.ended(one.order.assignment.key, ran, kept, one.keeper.new)

    def _distil(self) -> None:
        """Remove programs that no kernel needs any more, once there are enough of them."""
        gone = self.distiller.redundant() & self.store.digests
        if len(gone) > max(FEW, len(self.store) // 10):
            told = f"{len(gone)} of {len(self.store)} programs no kernel needs"
            self.recorder.event_now("distilled", told)
            self.store.retire(gone)
            self.distiller.forget(gone)


def _runs(one: Running) -> bool:
    try:
        return one.worker.ended() is None
    except DISK_ERRORS:  # nobody knows, so it may
        return True


def _at(slot: Slot) -> str:
    return f"run worker {slot.number}"


def ask_to_stop_on_signals(supervisor: Supervisor) -> None:
    """Let SIGINT and SIGTERM end the campaign in order."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: supervisor.stop())
