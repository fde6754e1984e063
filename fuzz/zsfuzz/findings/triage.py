# SPDX-License-Identifier: GPL-2.0-only
"""From trouble to a saved finding: known ones are counted, new ones replayed, cut and reported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from zsfuzz.atomic import make_directory, replace_file
from zsfuzz.errors import OutputLost
from zsfuzz.findings.followup import first_account, full_account
from zsfuzz.findings.store import FindingStore
from zsfuzz.minimise.limit import Limit
from zsfuzz.mutation.rawbytes import encode
from zsfuzz.outcome import Outcome
from zsfuzz.program import OP_SIZE
from zsfuzz.report.reach import with_reach
from zsfuzz.runner import Runner, Trouble, carried
from zsfuzz.stats import Stats
from zsfuzz.workerconfig import WorkerConfig, start_machine

TROUBLES = "troubles"  # folder of programs that are being looked into, in the worker's


class Triage:
    """Handle what went wrong in one worker; `stopping` tells that the run is about to end."""

    def __init__(
        self, runner: Runner, stats: Stats, config: WorkerConfig, stopping: Callable[[], bool]
    ) -> None:
        self._runner = runner
        self._stats = stats
        self._config = config
        self._stopping = stopping
        self._store = FindingStore(Path(config.output), config.findings)
        self._manifest = json.loads(Path(config.manifest).read_text())
        self._others = {
            other.flavour: partial(start_machine, other, console=f"{config.name}-{other.name}")
            for other in config.others
        }

    def handle(self, trouble: Trouble) -> None:
        """Count the trouble; replay, minimise, report and save it if its title is new."""
        self._stats.add(f"outcome {trouble.outcome.value}")
        if self._store.known(trouble.outcome, trouble.title):
            self._store.count(trouble.outcome, trouble.title)
        elif not self._store.known(Outcome.FLAKY, trouble.title):
            self._look_into(trouble)
        elif self._store.count(Outcome.FLAKY, trouble.title):
            self._look_into(trouble, flaky=True)

    @contextmanager
    def _noted(self, wire: bytes) -> Iterator[None]:
        """Leave the program in a file meanwhile: who kills this worker must not cost us it."""
        data = encode(wire, len(wire) // OP_SIZE)
        name = hashlib.sha1(data, usedforsecurity=False).hexdigest()  # as libFuzzer names inputs
        path = Path(self._config.work) / TROUBLES / name
        if wire:
            with suppress(OutputLost):
                make_directory(path.parent)
                replace_file(path, data, durable=False)
        yield
        path.unlink(missing_ok=True)

    def _look_into(self, trouble: Trouble, flaky: bool = False) -> None:
        with self._noted(trouble.wire):
            self._account(trouble, flaky)

    def _account(self, trouble: Trouble, flaky: bool) -> None:
        """Save what is known first: whatever happens while more is found out, it is there.

        If the title is that of a flaky finding, this one replaces it, or is forgotten.
        """
        with carried(trouble):
            finding = first_account(
                self._runner, trouble, self._stopping,
                kernel=self._manifest, seed=self._config.seed, flavours=(self._config.flavour,),
            )  # fmt: skip
        if flaky and finding.outcome is Outcome.FLAKY:
            return
        if not self._store.save(finding).new:
            return  # another worker was first
        if flaky:
            self._store.replace_flaky(finding)
        if finding.outcome is not Outcome.FLAKY and not self._stopping():
            limit = Limit.for_trouble(trouble, self._stopping)
            finding = full_account(self._runner, finding, trouble, limit, self._others)
            layout = Path(self._config.layout)
            self._store.rewrite(with_reach(finding, self._runner.target, layout))
        self._stats.add("settled")

    def write_counts(self) -> None:
        """Write how often findings were seen, where that has changed."""
        self._store.close()
