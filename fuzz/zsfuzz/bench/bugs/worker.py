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
from zsfuzz.outcome import Outcome
from zsfuzz.runner import Runner, Trouble
from zsfuzz.workerconfig import WorkerConfig

REPLAYS = 3  # of which one must show it again
_OURS = (Outcome.DIVERGENCE, Outcome.FLAKY)  # without a complaint of the kernel's


class TrialExplorer(Explorer):
    """Explore until the first trouble that shows again on a fresh guest, or until time is up."""

    def __init__(self, config: WorkerConfig) -> None:
        super().__init__(config)
        self.flaky: Ended | None = None
        self.begun = False
        self.noticed: float | None = None  # when an audit failed; what follows is to find out why
        self.runner.audit = self._audit  # type: ignore[method-assign]

    def one_input(self, data: bytes) -> None:
        """Run what libFuzzer proposes; time counts from the first of them."""
        if not self.begun:
            self.begun, self.started = True, time.monotonic()
        super().one_input(data)

    def _run(self, wire: bytes) -> None:
        try:
            super()._run(wire)
        except Exception as error:  # noqa: BLE001 - whatever a broken kernel's answer led to
            self._fail(wire, error)

    def _fail(self, wire: bytes, error: Exception) -> NoReturn:
        """Leave it to another process to say whose fault that was."""
        reason = f"{type(error).__name__}: {error}"
        self._end(replace(self._now(), failed=reason, wire=wire.hex()))

    def _audit(self) -> Trouble | None:
        trouble = Runner.audit(self.runner)
        if trouble is not None and self.noticed is None:
            self.noticed = time.monotonic()
        return trouble

    def _now(self) -> Ended:
        seconds = (self.noticed or time.monotonic()) - self.started
        return Ended(False, seconds, self.stats["operations"])

    def _handle(self, trouble: Trouble) -> None:
        self.auditor.forget()
        if not self.strategy.compared and trouble.splat is None and trouble.outcome in _OURS:
            self.noticed = None
            return  # seen by an audit of ours, not by the kernel
        seen = self._ended(trouble)
        again = self._again(trouble) if trouble.wire else None
        if again is not None:
            self._end(replace(self._ended(again), seconds=seen.seconds))
        if self.flaky is None and trouble.outcome is not Outcome.GUEST_HANG:
            self.flaky = replace(seen, flaky=True)
        self.noticed = None

    def _ended(self, trouble: Trouble) -> Ended:
        return replace(
            self._now(), found=True, title=trouble.title, outcome=trouble.outcome.value,
            oracle=oracle_of(trouble),
        )  # fmt: skip

    def _again(self, trouble: Trouble) -> Trouble | None:
        """Replay on fresh guests; what is seen there counts, whatever was seen at first."""
        flags, self.machine.flags = self.machine.flags, 0
        for _ in range(REPLAYS):
            again = self.runner.replay(trouble.wire)
            if again is not None:
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
