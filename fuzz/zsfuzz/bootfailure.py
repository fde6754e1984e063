# SPDX-License-Identifier: GPL-2.0-only
"""A kernel that complains before the first program could be run: a finding without a program."""

from __future__ import annotations

import json
import sys
import traceback
from dataclasses import replace
from functools import partial
from pathlib import Path

from zsfuzz.console.demise import demise_of
from zsfuzz.errors import BootFailed, HarnessError, OutputLost, ZsfuzzError
from zsfuzz.findings.finding import Finding, finding_id
from zsfuzz.findings.followup import finding_of
from zsfuzz.findings.store import FindingStore
from zsfuzz.findings.verdict import Boot, Reproduced, count_hits
from zsfuzz.outcome import EXIT_HARNESS_ERROR, Outcome
from zsfuzz.runner import NOT_READY, Trouble
from zsfuzz.spawn import EXIT_BOOT_FAILED
from zsfuzz.workerconfig import WorkerConfig, start_machine

ONCE = "it came once; likely causes:\n    - it depends on what the host did meanwhile"


def boot_trouble(error: BootFailed, wire: bytes = b"") -> Trouble:
    """Say of a kernel what is otherwise said of a program; `wire` was to be run."""
    outcome, title, splat = demise_of(error)
    return Trouble(
        outcome, f"{NOT_READY}: {title}", wire, error.reason, splat=splat, console=error.console
    )


def save_boot_failure(config: WorkerConfig, error: BootFailed) -> Path:
    """Save it as FLAKY, then boot a few times more, and say so if it came again; gives the folder.

    Raises OutputLost.
    """
    store = FindingStore(Path(config.output), config.findings)
    trouble = boot_trouble(error)
    if store.known(trouble.outcome, trouble.title):
        store.count(trouble.outcome, trouble.title)
        path = store.root / finding_id(trouble.outcome, trouble.title)
    else:
        path = _save_new(config, store, trouble)
    store.close()
    return path


def _save_new(config: WorkerConfig, store: FindingStore, trouble: Trouble) -> Path:
    once = replace(trouble, outcome=Outcome.FLAKY, reason=f"{trouble.reason}; {ONCE}")
    saved = store.save(_finding(config, once))
    start = partial(start_machine, config, console=f"{config.name}-again.console")
    seen = count_hits(lambda: boots_so_again(start, trouble.title))
    if not seen.hits:
        store.rewrite(_finding(config, once, seen))
        return saved.path
    finding = _finding(config, trouble, seen)
    path = store.save(finding).path
    store.replace_flaky(finding)
    return path


def _finding(config: WorkerConfig, trouble: Trouble, seen: Reproduced | None = None) -> Finding:
    return finding_of(
        trouble, reproduced=seen.pair if seen else None, seed=config.seed,
        kernel=json.loads(Path(config.manifest).read_text()), flavours=(config.flavour,),
    )  # fmt: skip


def boots_so_again(start: Boot, title: str) -> bool:
    """Tell whether the kernel complains once more, in the same way, when it boots."""
    try:
        with start():
            return False
    except BootFailed as error:
        return boot_trouble(error).title == title
    except HarnessError:
        return False


def give_up(config: WorkerConfig, error: ZsfuzzError) -> int:
    """Save what a worker that cannot go on still has in its hands; returns its exit code."""
    traceback.print_exception(error)
    try:
        for trouble in error.unsaved:
            _save_unsaved(config, trouble, error)
        if not isinstance(error, BootFailed):
            return EXIT_HARNESS_ERROR
        sys.stderr.write(f"{error}\n")
        save_boot_failure(config, error)
    except OutputLost as lost:
        sys.stderr.write(f"{lost}\n")
        return EXIT_HARNESS_ERROR
    return EXIT_BOOT_FAILED


def _save_unsaved(config: WorkerConfig, trouble: Trouble, error: ZsfuzzError) -> None:
    """Save what nobody could look into, unless it is known: then it may have been counted."""
    store = FindingStore(Path(config.output), config.findings)
    if any(store.known(outcome, trouble.title) for outcome in (trouble.outcome, Outcome.FLAKY)):
        return
    why = f"not looked into any further: {error}"
    reason = "; ".join(filter(None, (trouble.reason, why)))
    store.save(_finding(config, replace(trouble, outcome=Outcome.FLAKY, reason=reason)))
    store.close()
