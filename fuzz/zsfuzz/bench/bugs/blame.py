# SPDX-License-Identifier: GPL-2.0-only
"""Tell a patch's fault from ours, where a guest does not get ready or answers nonsense.

What fails twice with the patch and not without it, on the same machine at the same time, is the
patch's.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.bench.bugs.oracles import ANSWER, SPLAT, START, oracle_of
from zsfuzz.bench.bugs.stagerun import Ended
from zsfuzz.errors import HarnessError
from zsfuzz.outcome import Outcome
from zsfuzz.runner import NOT_READY, Runner, Trouble
from zsfuzz.workerconfig import start_machine, worker_config
from zsmodel import Model
from zstools.kernel import Kernel


@dataclass(frozen=True)
class Blame:
    """What the patch is reported for."""

    title: str
    outcome: str
    oracle: str


def take_blame(ended: Ended, broken: Kernel, clean: Kernel) -> Blame:
    """Try the same again, with the patch and without it; HarnessError if it is not the patch.

    What does not come again with the patch was the machine's: a guest without memory, say.
    """
    again = _what_fails(broken, ended.wire)
    if again is None:
        raise HarnessError(f"{ended.failed}; not once more, on a machine that may have been busy")
    without = _what_fails(clean, ended.wire)
    if without is not None:
        raise HarnessError(f"{ended.failed}; without the patch: {_told(without)}")
    if isinstance(again, Trouble) and again.outcome is Outcome.GUEST_HANG:
        again = _what_fails(broken, ended.wire)  # a busy machine hangs a guest, too: not twice
        if again is None:
            raise HarnessError(f"{ended.failed}; then the guest did not answer, once")
    if isinstance(again, Trouble):  # a finding like any other: what failed first was the machine
        return Blame(again.title, again.outcome.value, oracle_of(again))
    return blame_of(ended)


def _told(failure: Trouble | str) -> str:
    if isinstance(failure, str):
        return failure
    return f"the same program is a {failure.outcome.value}: {failure.title}"


def _what_fails(kernel: Kernel, wire: str) -> Trouble | str | None:
    """Boot a kernel, and run a program if there is one; says what goes wrong."""
    with tempfile.TemporaryDirectory(prefix="zsfuzz-blame-") as folder:
        work = Path(folder)
        config = worker_config(kernel, name="blame", role="explore", work=work, output=work)
        try:
            with start_machine(config, console="blame.console") as machine:
                if not wire:
                    return None
                return Runner(machine, Model(machine.kernel)).run(bytes.fromhex(wire))
        except Exception as error:  # noqa: BLE001 - whatever a broken kernel's answer led to
            return str(error) or type(error).__name__


def blame_of(ended: Ended) -> Blame:
    """Say what the patch did, given that it was the patch."""
    if not ended.wire:
        if ended.splat:
            outcome = Outcome.KERNEL_SPLAT.value
            return Blame(f"{NOT_READY}: {ended.splat}", outcome, SPLAT)
        return Blame(NOT_READY, Outcome.GUEST_LOST.value, START)
    return Blame("answer that no kernel may give", Outcome.DIVERGENCE.value, ANSWER)
