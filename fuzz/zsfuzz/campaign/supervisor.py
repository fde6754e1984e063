# SPDX-License-Identifier: GPL-2.0-only
"""The supervisor: keeps every slot busy, takes up what workers find, and survives what they do."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from zsfuzz.atomic import TEMPORARY, make_directory, replace_file
from zsfuzz.campaign.corpusstore import CorpusStore
from zsfuzz.campaign.crew import TICK, Crew
from zsfuzz.campaign.disk import DiskWatch
from zsfuzz.campaign.identity import Identity
from zsfuzz.campaign.layout import Layout
from zsfuzz.campaign.leftovers import remove_scratch, take_up
from zsfuzz.campaign.options import Options
from zsfuzz.campaign.recorder import Clock, Recorder
from zsfuzz.campaign.restoring import last_options, restore
from zsfuzz.campaign.state import State
from zsfuzz.campaign.troubles import Troubles
from zsfuzz.campaign.worker import Spawn
from zsfuzz.corpusfile import load_dir
from zsfuzz.errors import HarnessError
from zstools.kernel import Kernel

RECORD_EVERY = 1.0  # seconds, so that a kill of everything loses no more


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
        self._wait = wait
        self._stop_asked = False

    def stop(self) -> None:
        """End soon, in order."""
        self._stop_asked = True

    # ---- from beginning to end --------------------------------------------------------------

    def open(self) -> None:
        """Take up what the last run left, and enter this one; raises one of DISK_ERRORS."""
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
        self.seen_before = self.recorder.findings.sightings  # in earlier runs
        self.troubles = Troubles(self.recorder)
        self.crew = Crew(
            layout, options, self.state, self.store, self.recorder, self.troubles, self.kernels
        )
        self._note_start(left, saved)
        self._begin_with(begin_with)
        self.disk = DiskWatch(layout.root, options.reserve)

    def _name_supervisor(self) -> None:
        me = Identity.of(os.getpid())
        facts = {
            "pid": os.getpid(), "birth": me.birth if me else "",
            "host": socket.gethostname(), "place": self.layout.place,
        }  # fmt: skip
        replace_file(self.layout.supervisor, json.dumps(facts).encode(), durable=False)

    def _note_start(self, left: int, saved: int) -> None:
        event = self.recorder.event
        event("start", f"workers: {self.options.jobs}, kernels: {len(self.kernels)}")
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
        """Supervise; HarnessError if no worker ran a program, and no kernel is to blame."""
        recorded = looked = -RECORD_EVERY
        clock, guarded = self.recorder.clock, self.troubles.guarded
        why = "failed"
        try:
            while not self._over(seconds):
                guarded("run", lambda: self._tick(spawn))
                if clock.run_seconds - recorded >= RECORD_EVERY:
                    recorded = clock.run_seconds
                    guarded("save", self._record)
                if clock.run_seconds - looked >= RECORD_EVERY:
                    looked = clock.run_seconds
                    guarded("show", show)
                self._wait(TICK)
            why = "stopped" if self._stop_asked else "time"
        finally:
            self._finish(why)
        if "save" in self.troubles:
            raise HarnessError(
                f"{self.layout.root}: the end could not be saved: {self.troubles.why('save')}: "
                "once there is space, start again: all that is there is taken up"
            )
        if (
            not self.crew.ran
            and self.crew.died
            and self.recorder.findings.sightings <= self.seen_before
        ):
            raise HarnessError(
                f"no worker ran a program, and {self.crew.died} ended: "
                f"`zsfuzz campaign status {self.layout.root}` shows their last words"
            )

    def _over(self, seconds: float | None) -> bool:
        late = seconds is not None and self.recorder.clock.run_seconds >= seconds
        return self._stop_asked or late

    def _finish(self, why: str) -> None:
        """End all workers, in order if they can, and write all that is known."""
        self.crew.end(self._wait)
        self.troubles.guarded("save", lambda: self._save_all(why))
        self.store.close()
        self.state.close()

    def _save_all(self, why: str) -> None:
        self.crew.take_up()
        self._record()
        self.crew.check_taken_up()
        self.recorder.event("end", why)
        with self.state.transaction():
            self.state.update("runs", self.recorder.run, ended=why)
        self.recorder.write(len(self.store), 0)
        remove_scratch(self.layout)

    # ---- every tick -------------------------------------------------------------------------

    def _tick(self, spawn: Spawn) -> None:
        full = self.disk.look()
        self.crew.tick(spawn, full=full)
        if full:
            raise OSError(f"less than {self.options.reserve} MiB free: workers wait for more")

    def _record(self) -> None:
        self.crew.keep()
        if self.store.look_now() and self.options.scheduler is None:
            self.recorder.event("corpus", "programs were put into the corpus from outside")
        for bad in self.store.take_bad():
            self.recorder.event("damage", bad)
        self.store.sync()
        self.recorder.look_for_findings()
        if self.options.scheduler is None:  # an exchange would bring the counts again
            self.recorder.findings.fold()
        self.recorder.write(len(self.store), len(self.crew.running))


def ask_to_stop_on_signals(supervisor: Supervisor) -> None:
    """Let SIGINT and SIGTERM end the campaign in order."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: supervisor.stop())
