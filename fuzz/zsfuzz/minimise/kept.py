# SPDX-License-Identifier: GPL-2.0-only
"""A guest that goes on after divergences, as far as they do no harm that matters."""

from __future__ import annotations

from zsfuzz.oracle import Divergence
from zsfuzz.outcome import Outcome
from zsfuzz.program import OP_SIZE, PAGE_OPS, Opcode
from zsfuzz.runner import Runner, Trouble

# What reads or changes charges of cgroups, as swapped pages do, too; and what changes the tree of
# cgroups, which takes long if owners are left, and kills a kernel that has charged a cgroup less
# than nothing.
NEEDS_CHARGES = (
    *PAGE_OPS,
    Opcode.PAGE_EXIT,
    Opcode.WRITEBACK,
    Opcode.SWAP_COMPACT,
    Opcode.STAT_FILES,
    Opcode.STAT,
    Opcode.MAY_ZSWAP,
    Opcode.CGROUP_CREATE,
    Opcode.CGROUP_REMOVE,
)
# Where wrong charges show: operations, and records of the snapshot.
SHOWS_CHARGES = frozenset(("stat", "stat_files", "may_zswap", "cgroup", "end"))
PATIENCE = 8  # programs that differ in charges alone, until a boot is cheaper than comparing these


class KeptGuest:
    """Run programs, with a boot only when the guest is no longer as good as a fresh one.

    Wrong charges stay in the guest; where they do not matter to the finding (@charges_matter), it
    goes on with them, but not with programs that would see them.  What is found in this way should
    be seen again on a fresh guest.
    """

    def __init__(self, runner: Runner, charges_matter: bool) -> None:
        self._runner = runner
        self._charges_matter = charges_matter
        self._charges_off = False
        self._patience = PATIENCE

    def run(self, wire: bytes) -> Trouble | None:
        """Run one well-formed program; None means that kernel and model agree."""
        if self._charges_off and any(op in wire[::OP_SIZE] for op in NEEDS_CHARGES):
            self._restart()
        was_off = self._charges_off
        trouble = self._runner.check(wire)
        if trouble is None:
            return None
        if trouble.outcome is not Outcome.DIVERGENCE:
            self._restart()
            return self.run(wire) if was_off else trouble
        if was_off and only_charges(trouble):
            self._suffer()
        else:
            self._look_after()
        return trouble

    def _suffer(self) -> None:
        """Restart before programs that would agree have cost more than a boot."""
        self._patience -= 1
        if not self._patience:
            self._restart()

    def _look_after(self) -> None:
        """See how an empty program is answered."""
        trouble = self._runner.check(b"")
        self._charges_off = trouble is not None
        if trouble and (self._charges_matter or not only_charges(trouble)):
            self._restart()

    def _restart(self) -> None:
        self._runner.target.restart()
        self._charges_off = False
        self._patience = PATIENCE


def charges_matter(divergence: Divergence) -> bool:
    """Tell whether wrong charges that others left could be taken for this divergence."""
    return divergence.first is None or divergence.first.subject in SHOWS_CHARGES


def only_charges(trouble: Trouble) -> bool:
    """Tell whether a divergence is one of charges, and of nothing else."""
    divergence = trouble.divergence
    if trouble.outcome is not Outcome.DIVERGENCE or divergence is None or divergence.more:
        return False
    differences = (divergence.first, *divergence.others)
    return all(diff is not None and diff.subject in SHOWS_CHARGES for diff in differences)
