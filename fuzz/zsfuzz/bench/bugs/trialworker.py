# SPDX-License-Identifier: GPL-2.0-only
"""The process of one trial: an explorer that ends with its first finding."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from zsfuzz.bench.bugs.trial import Trial, oracle_of, write_trial
from zsfuzz.explorer import Explorer
from zsfuzz.outcome import Outcome
from zsfuzz.runner import Trouble
from zsfuzz.workerconfig import WorkerConfig

REPLAYS = 3  # of which one must show it again


class TrialExplorer(Explorer):
    """Explore until the first trouble that shows again on a fresh guest, or until time is up."""

    def _handle(self, trouble: Trouble) -> None:
        seconds = time.monotonic() - self.started
        if not self._counts(trouble):
            return
        trial = Trial(
            True,
            seconds,
            self.stats["operations"],
            trouble.title,
            trouble.outcome.value,
            oracle_of(trouble),
        )
        self._end(trial)

    def _counts(self, trouble: Trouble) -> bool:
        if not self.strategy.compared and trouble.outcome is Outcome.DIVERGENCE:
            return False  # seen by an audit of ours, not by the kernel
        return bool(trouble.wire) and self.runner.reproduce(trouble, REPLAYS) > 0

    def _stop(self) -> None:
        trouble = self.auditor.audit(time.monotonic())
        if trouble is not None:
            self._handle(trouble)
        self._end(Trial(False, time.monotonic() - self.started, self.stats["operations"]))

    def _end(self, trial: Trial) -> None:
        write_trial(trial, Path(self.config.work))
        self.machine.close()
        os._exit(0)


def main() -> None:
    """Run the trial that the JSON file named on the command line describes."""
    TrialExplorer(WorkerConfig.load(Path(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
