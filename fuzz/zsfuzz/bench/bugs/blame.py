# SPDX-License-Identifier: GPL-2.0-only
"""Tell a patch's fault from ours, where a guest does not get ready or answers nonsense.

What fails with the patch and not without it, on the same machine at the same time, is the patch's.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.bench.bugs.oracles import ANSWER, DEATH, SPLAT
from zsfuzz.bench.bugs.stagerun import Ended
from zsfuzz.errors import HarnessError
from zsfuzz.outcome import Outcome
from zsfuzz.runner import Runner
from zsfuzz.workerconfig import start_machine, worker_config
from zsmodel import Model
from zstools.kernel import Kernel

NOT_READY = "no guest gets ready"


@dataclass(frozen=True)
class Blame:
    """What the patch is reported for."""

    title: str
    outcome: str
    oracle: str


def take_blame(ended: Ended, clean: Kernel) -> Blame:
    """Try the same without the patch; HarnessError, with what failed first, if it fails too."""
    with tempfile.TemporaryDirectory(prefix="zsfuzz-clean-") as folder:
        work = Path(folder)
        config = worker_config(clean, name="clean", role="explore", work=work, output=work)
        try:
            with start_machine(config, console="clean.console") as machine:
                if ended.wire:
                    _run_clean(Runner(machine, Model(machine.kernel)), bytes.fromhex(ended.wire))
        except HarnessError as error:
            raise HarnessError(f"{ended.failed}; without the patch: {error}") from error
    return blame_of(ended)


def _run_clean(runner: Runner, wire: bytes) -> None:
    trouble = runner.run(wire)
    if trouble is not None:
        raise HarnessError(f"the same program is a {trouble.outcome.value}: {trouble.title}")


def blame_of(ended: Ended) -> Blame:
    """Say what the patch did, given that it was the patch."""
    if not ended.wire:
        if ended.splat:
            outcome = Outcome.KERNEL_SPLAT.value
            return Blame(f"{NOT_READY}: {ended.splat}", outcome, SPLAT)
        return Blame(NOT_READY, Outcome.GUEST_LOST.value, DEATH)
    return Blame("answer that no kernel may give", Outcome.DIVERGENCE.value, ANSWER)
