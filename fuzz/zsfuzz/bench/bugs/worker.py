# SPDX-License-Identifier: GPL-2.0-only
"""The process of one stage of a trial: an explorer that ends with its first finding."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from zsfuzz.bench.bugs.oracles import oracle_of
from zsfuzz.bench.bugs.stagerun import Ended, write_result
from zsfuzz.console.complaints import find_splats
from zsfuzz.errors import BootFailed, HarnessError
from zsfuzz.explorer import Explorer
from zsfuzz.guest.target import Target
from zsfuzz.lockstep import KernelAlone
from zsfuzz.outcome import Outcome
from zsfuzz.runner import Runner, Trouble
from zsfuzz.workerconfig import WorkerConfig
from zsmodel import Model

REPLAYS = 3  # of which one must show it again


class TrialRunner(Runner):
    """Note when trouble was first noticed: what follows, a fresh guest first, is not counted."""

    noticed: float | None = None

    def _restart_after(self, trouble: Trouble) -> None:
        if self.noticed is None:
            self.noticed = time.monotonic()
        super()._restart_after(trouble)


class KernelAloneRunner(TrialRunner):
    """Hear nothing but what the kernel itself complains of."""

    def __init__(self, target: Target, model: Model) -> None:
        super().__init__(target, model)
        self.lockstep = KernelAlone(target, model)

    def _leftovers(self, _: int) -> Trouble | None:
        return super()._leftovers(0)  # who counts orphans is the module


class TrialExplorer(Explorer):
    """Explore until the first trouble that shows again on a fresh guest, or until time is up."""

    def __init__(self, config: WorkerConfig) -> None:
        super().__init__(config)
        self.flaky: Ended | None = None
        self.begun = False
        self.running = b""  # the program that runs, if one does

    def _make_runner(self) -> TrialRunner:
        kind = TrialRunner if self.strategy.compared else KernelAloneRunner
        self.trial = kind(self.machine, self.model)
        return self.trial

    def one_input(self, data: bytes) -> None:
        """Run what libFuzzer proposes; time counts from the first of them."""
        if not self.begun:
            self.begun, self.started = True, time.monotonic()
        self.trial.noticed = None
        self.running = b""
        try:
            self._one_input(data)
        except Exception as error:  # noqa: BLE001 - whatever a broken kernel's answer led to
            self._fail(error)

    def _run(self, wire: bytes) -> None:
        self.running = wire
        super()._run(wire)
        self.running = b""

    def _fail(self, error: Exception) -> NoReturn:
        """Leave it to another process to say whose fault that was."""
        reason = f"{type(error).__name__}: {error}"
        self._end(replace(self._now(), failed=reason, wire=self.running.hex()))

    def _now(self) -> Ended:
        seconds = (self.trial.noticed or time.monotonic()) - self.started
        return Ended(False, seconds, self.stats["operations"])

    def _handle(self, trouble: Trouble) -> None:
        self.auditor.forget()
        seen = self._ended(trouble)
        again = self._again(trouble) if trouble.wire else None
        if again is not None:
            self._end(replace(self._ended(again), seconds=seen.seconds))
        if self.flaky is None and trouble.outcome is not Outcome.GUEST_HANG:
            self.flaky = replace(seen, flaky=True)
        self.trial.noticed = None

    def _ended(self, trouble: Trouble) -> Ended:
        return replace(
            self._now(), found=True, title=trouble.title, outcome=trouble.outcome.value,
            oracle=oracle_of(trouble),
        )  # fmt: skip

    def _again(self, trouble: Trouble) -> Trouble | None:
        """Replay on fresh guests; what is seen there counts, whatever was seen at first.

        A guest may not answer as the machine is busy: that has to be seen twice.
        """
        flags, self.machine.flags = self.machine.flags, 0
        hangs = int(trouble.outcome is Outcome.GUEST_HANG)
        for _ in range(REPLAYS):
            again = self.runner.replay(trouble.wire)
            if again is None:
                continue
            hangs += again.outcome is Outcome.GUEST_HANG
            if again.outcome is not Outcome.GUEST_HANG or hangs > 1:
                return again
        self.machine.flags = flags
        return None

    def _stop(self) -> None:
        trouble = self.auditor.audit(time.monotonic())
        if trouble is not None:
            self._handle(trouble)
        self._end(self.flaky or self._now())

    def _end(self, ended: Ended) -> NoReturn:
        write_result(ended, self.config)
        self.machine.close()
        os._exit(0)


def main() -> None:
    """Run the stage that the JSON file named on the command line describes."""
    config = WorkerConfig.load(Path(sys.argv[1]))
    try:
        explorer = TrialExplorer(config)
    except (BootFailed, HarnessError) as error:
        write_result(_not_ready(error), config)
        return
    explorer.run()


def _not_ready(error: BootFailed | HarnessError) -> Ended:
    splats = find_splats(error.console) if isinstance(error, BootFailed) else []
    return Ended(False, 0.0, 0, failed=str(error), splat=splats[0].title if splats else "")


if __name__ == "__main__":
    main()
