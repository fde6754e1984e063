# SPDX-License-Identifier: GPL-2.0-only
"""From trouble to a saved finding: known ones are counted, new ones replayed, cut and reported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from zsfuzz.finding import Finding
from zsfuzz.findings import FindingStore
from zsfuzz.outcome import Outcome
from zsfuzz.program import OP_SIZE, Program
from zsfuzz.reach import with_reach
from zsfuzz.runner import Runner, Trouble
from zsfuzz.stats import Stats
from zsfuzz.workerconfig import WorkerConfig

REPLAYS = 3  # of each new finding


class Triage:
    """Handle what went wrong in one worker."""

    def __init__(self, runner: Runner, stats: Stats, config: WorkerConfig) -> None:
        self._runner = runner
        self._stats = stats
        self._config = config
        self._store = FindingStore(Path(config.output))
        self._manifest = json.loads(Path(config.manifest).read_text())

    def handle(self, trouble: Trouble) -> None:
        """Count the trouble; replay, report and save it if its title is new."""
        self._stats.add(f"outcome {trouble.outcome.value}")
        for outcome in (trouble.outcome, Outcome.FLAKY):
            if self._store.known(outcome, trouble.title):
                self._store.count(outcome, trouble.title)
                return
        hits = self._runner.reproduce(trouble, REPLAYS) if trouble.wire else 0
        trouble = self._cut(trouble) if hits else replace(trouble, outcome=Outcome.FLAKY)
        finding = self._finding(trouble, hits)
        self._store.save(with_reach(finding, self._runner.target, Path(self._config.layout)))

    def _cut(self, trouble: Trouble) -> Trouble:
        """Drop what follows the step that differs, if the finding stays the same without it."""
        step = trouble.divergence.step if trouble.divergence else None
        if step is None:
            return trouble
        again = self._runner.run_and_audit(trouble.wire[: step * OP_SIZE])
        return again if again is not None and again.title == trouble.title else trouble

    def _finding(self, trouble: Trouble, hits: int) -> Finding:
        return Finding(
            trouble.outcome,
            trouble.title,
            Program.from_wire(trouble.wire).canonical(),
            kernel=self._manifest,
            seed=self._config.seed,
            step=trouble.divergence.step if trouble.divergence else None,
            divergence=trouble.divergence,
            splat=trouble.splat,
            detail=trouble.reason,
            console=trouble.console,
            flavours=(self._config.flavour,),
            reproduced=(hits, REPLAYS),
        )

    def close(self) -> None:
        """Write the counts of findings that were seen again."""
        self._store.close()
