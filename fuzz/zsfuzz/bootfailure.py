# SPDX-License-Identifier: GPL-2.0-only
"""A kernel that complains before the first program could be run: a finding without a program."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from zsfuzz.console.demise import demise_of
from zsfuzz.errors import BootFailed
from zsfuzz.findings.finding import Finding
from zsfuzz.findings.followup import finding_of
from zsfuzz.findings.store import FindingStore, Saved
from zsfuzz.findings.verdict import REPLAY_SECONDS, REPLAYS, Reproduced, flaky_causes
from zsfuzz.outcome import Outcome
from zsfuzz.runner import NOT_READY, Trouble
from zsfuzz.workerconfig import WorkerConfig, start_machine


def boot_trouble(error: BootFailed) -> Trouble:
    """Say of a kernel what is otherwise said of a program; HarnessError if it is the host."""
    outcome, title, splat = demise_of(error)
    return Trouble(
        outcome, f"{NOT_READY}: {title}", b"", error.reason, splat=splat, console=error.console
    )


def save_boot_failure(config: WorkerConfig, error: BootFailed) -> Saved:
    """Boot a few times more, and save what came of it; FLAKY if it never came again.

    Raises OutputLost, or HarnessError if this machine is to blame.
    """

    def start() -> AbstractContextManager[object]:
        return start_machine(config, console=f"{config.name}-again.console")

    store = FindingStore(Path(config.output), config.findings)
    trouble = boot_trouble(error)
    saved = store.save(_finding(config, trouble, start))
    store.close()
    return saved


def _finding(
    config: WorkerConfig, trouble: Trouble, start: Callable[[], AbstractContextManager[object]]
) -> Finding:
    seen = _boot_again(start, trouble.title)
    detail = trouble.reason
    if not seen.hits:
        detail = f"{detail}; {flaky_causes(trouble, seen)}"
        trouble = replace(trouble, outcome=Outcome.FLAKY)
    return finding_of(
        trouble, detail=detail, reproduced=seen.pair, seed=config.seed,
        kernel=json.loads(Path(config.manifest).read_text()), flavours=(config.flavour,),
    )  # fmt: skip


def _boot_again(start: Callable[[], AbstractContextManager[object]], title: str) -> Reproduced:
    """Count boots that end with the same title; slow ones end it before the last."""
    hits = tries = 0
    until = time.monotonic() + REPLAY_SECONDS
    while tries < REPLAYS and (not tries or time.monotonic() < until):
        tries += 1
        try:
            with start():
                pass
        except BootFailed as error:
            hits += boot_trouble(error).title == title
    return Reproduced(hits, tries)
