# SPDX-License-Identifier: GPL-2.0-only
"""Run programs whatever happens: a verdict for each, and a fresh guest after any trouble."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from zsfuzz.console.complaints import Splat, find_splats
from zsfuzz.console.demise import demise_of
from zsfuzz.errors import (
    GuestKilled,
    GuestLost,
    HarnessError,
    KernelSplat,
    Unanswered,
    ZsfuzzError,
)
from zsfuzz.guest.target import Target
from zsfuzz.lockstep import Disagreement, Lockstep
from zsfuzz.oracle import Divergence, compare
from zsfuzz.outcome import Outcome
from zsfuzz.program import Program
from zsmodel import Model

NOT_READY = "no guest gets ready"
ORPHAN_TITLE = "owner outlives its cgroup and all its objects"
# Guests that may be killed from outside while they run one program.
KILLED_IN_A_ROW = 5
_KILLED = (
    f"{KILLED_IN_A_ROW} guests were lost in a row, from outside: {{}}: "
    "if `dmesg` tells of the OOM killer, let fewer workers run or free some memory"
)


@dataclass(frozen=True)
class Trouble:
    """Say what became of a program that did not end well; `title` is the key for duplicates.

    A kernel that complains and goes on may have answered wrongly, too: then there is a splat, which
    gives the title, and a divergence.  Where a guest died or hung after a wrong answer, that answer
    gives the title, and `reason` says what became of the guest.
    """

    outcome: Outcome
    title: str
    wire: bytes
    reason: str = ""
    divergence: Divergence | None = None
    splat: Splat | None = None
    console: str = ""


@contextmanager
def carried(trouble: Trouble) -> Iterator[None]:
    """Let an error that ends all work carry what was found before, as its `unsaved`."""
    try:
        yield
    except ZsfuzzError as error:
        error.unsaved = (*error.unsaved, trouble)
        raise


class Runner:
    """Run programs on a target beside the model; after Trouble the guest is a fresh one.

    `check`, `examine` and `look_around` leave that to the caller.
    HarnessError and GuestRefused pass through: they are faults of ours, not of the kernel.  A guest
    that someone kills from outside is replaced and counted in `killed`, and the program run again.
    """

    def __init__(self, target: Target, model: Model) -> None:
        self.target = target
        self.model = model
        self.lockstep = Lockstep(target, model)
        self.killed = 0

    def run(self, wire: bytes) -> Trouble | None:
        """Run one well-formed program; None means that kernel and model agree."""
        trouble = self.check(wire)
        if trouble is not None:
            self._restart_after(trouble)
        return trouble

    def _restart_after(self, trouble: Trouble) -> None:
        with carried(trouble):
            self.target.restart()

    def check(self, wire: bytes) -> Trouble | None:
        """Run a program, and leave it to the caller to restart the target after trouble.

        HarnessError if guest after guest is killed from outside.
        """
        for _ in range(KILLED_IN_A_ROW):
            try:
                return self._check_once(wire)
            except GuestKilled as error:
                reason = error.reason
                self.replace_killed()
        raise HarnessError(_KILLED.format(reason))

    def replace_killed(self) -> None:
        """Go on with a fresh guest after one that was killed from outside."""
        self.killed += 1
        self.target.restart()

    def _check_once(self, wire: bytes) -> Trouble | None:
        try:
            found = self.lockstep.check(wire)
        except (Unanswered, KernelSplat) as error:
            return self._guest_trouble(wire, error)
        return None if found is None else self.differs(found)

    def differs(self, found: Disagreement) -> Trouble:
        """Say what it is that kernel and model disagree on."""
        divergence = self._compare(found)
        title = divergence.title if divergence else "answers differ"
        console = self.target.console()
        return Trouble(
            Outcome.DIVERGENCE, title, found.wire, divergence=divergence, console=console
        )

    def _compare(self, found: Disagreement) -> Divergence | None:
        program = Program.from_wire(found.wire)
        return compare(program, found.kernel, found.model, self.target.kernel)

    def _guest_trouble(self, wire: bytes, error: Unanswered | KernelSplat) -> Trouble:
        """Say what became of the guest; GuestKilled if that came from outside, and says nothing."""
        before = self._wrong_before(wire, error) if isinstance(error, Unanswered) else None
        try:
            outcome, title, splat = demise_of(error)
        except GuestKilled:
            if before is None:
                raise
            title, splat = "killed from outside", None
        if before is not None:
            end = "died" if isinstance(error, GuestLost) else "hung"
            reason = f"then the guest {end}: {title}"
            return Trouble(
                Outcome.DIVERGENCE, before.title, wire, reason, before, splat, error.console
            )
        return Trouble(
            outcome, title, wire, error.reason,
            self._also_different(wire, error), splat, error.console,
        )  # fmt: skip

    def _wrong_before(self, wire: bytes, error: Unanswered) -> Divergence | None:
        """Find the first wrong result of a guest that was lost later: it says more than the end."""
        found = self.lockstep.judge_results(wire, error.results)
        divergence = self._compare(found) if found else None
        if divergence is None or divergence.step is None:
            return None
        return replace(divergence, stopped="", sides=None)  # nobody took a snapshot

    def _also_different(self, wire: bytes, error: Exception) -> Divergence | None:
        """Look at what a kernel answered that complained, but went on."""
        if not isinstance(error, KernelSplat) or error.answer is None:
            return None
        found = self.lockstep.judge(wire, error.answer)
        return self._compare(found) if found else None

    def audit(self) -> Trouble | None:
        """Remove and remake all cgroups; trouble if anything stays, or the console complains.

        Lockdep and kmemleak complain there and do not taint the kernel.
        """
        trouble = self.look_around()
        if trouble is not None:
            self._restart_after(trouble)
        return trouble

    def look_around(self) -> Trouble | None:
        """Audit, and leave it to the caller to restart the target after trouble."""
        try:
            return self._audit_once()
        except GuestKilled:  # and with it what could have been seen
            self.replace_killed()
            return None

    def _audit_once(self) -> Trouble | None:
        try:
            orphans = self.target.audit()
        except (Unanswered, KernelSplat) as error:
            return self._guest_trouble(b"", error)
        return self._leftovers(orphans)

    def _leftovers(self, orphans: int) -> Trouble | None:
        console = self.target.console()
        splat = next(iter(find_splats(console)), None)
        if splat is not None:
            reason = "seen in the console at an audit"
            return Trouble(
                Outcome.KERNEL_SPLAT, splat.title, b"", reason, splat=splat, console=console
            )
        if orphans:
            reason = f"{orphans} of the removed cgroups' owners are still referenced"
            return Trouble(Outcome.DIVERGENCE, ORPHAN_TITLE, b"", reason, console=console)
        return None

    def run_and_audit(self, wire: bytes) -> Trouble | None:
        """Run a program, then the dear check of what it left behind; HarnessError as `check`."""
        trouble = self.examine(wire)
        if trouble is not None:
            self._restart_after(trouble)
        return trouble

    def examine(self, wire: bytes) -> Trouble | None:
        """Run a program and audit; it is left to the caller to restart the target after trouble.

        HarnessError as `check`.
        """
        for _ in range(KILLED_IN_A_ROW):
            killed = self.killed
            trouble = self.check(wire)
            if trouble is not None:
                return trouble
            found = self.look_around()
            if found is not None:
                return replace(found, wire=wire)
            if self.killed == killed:
                return None
        raise HarnessError(_KILLED.format("while they were looked at"))

    def replay(self, wire: bytes) -> Trouble | None:
        """Run a program and audit, and leave a fresh guest, whatever came of it."""
        trouble = self.run_and_audit(wire)
        if trouble is None:
            self.target.restart()  # after trouble that has been done
        return trouble

    def compares(self, wire: bytes) -> list[tuple[int, int]]:
        """Run a program once more and give what the kernel compared; empty after trouble."""
        try:
            return self.target.compares(wire)
        except (Unanswered, KernelSplat):
            self.target.restart()
            return []
