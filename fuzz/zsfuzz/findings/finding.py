# SPDX-License-Identifier: GPL-2.0-only
"""What is known of a finding."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2s
from typing import Any

from zsfuzz.console.complaints import Splat
from zsfuzz.oracle import Divergence
from zsfuzz.outcome import Outcome
from zsfuzz.program import Program


@dataclass(frozen=True)
class Finding:
    """Hold everything that a report tells; what is not known stays at its default.

    `kernel` is the manifest of the built kernel: "version", "design", "guest", "config" and
    "protocol" are shown.  `step` counts operations from 1.
    """

    outcome: Outcome
    title: str  # without numbers, names or addresses: findings are told apart by it
    program: Program
    kernel: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    step: int | None = None
    divergence: Divergence | None = None
    splat: Splat | None = None
    detail: str = ""  # what the harness saw of a hang or a lost guest
    console: str = ""  # everything since the guest's boot
    flavours: tuple[str, ...] = ()  # on which it shows
    silent_on: tuple[str, ...] = ()  # flavours on which it was tried and does not show
    reproduced: tuple[int, int] | None = None  # times, of tries
    minimised: tuple[int, int] | None = None  # from operations, in runs
    not_compared: tuple[str, ...] = ()
    reached: tuple[str, ...] = ()  # functions of mm/zsmalloc.c that the step reaches, by coverage

    @property
    def id(self) -> str:
        """Name the finding; findings with the same outcome and title are the same."""
        return finding_id(self.outcome, self.title)


def finding_id(outcome: Outcome, title: str) -> str:
    """Make the name of a finding's directory."""
    return blake2s(f"{outcome.value}\0{title}".encode(), digest_size=6).hexdigest()


def divergence_finding(program: Program, divergence: Divergence, **more: Any) -> Finding:
    """Make a finding of a divergence; `more` are other fields of Finding."""
    step = divergence.step
    return Finding(
        Outcome.DIVERGENCE, divergence.title, program, step=step, divergence=divergence, **more
    )


def splat_finding(program: Program, splat: Splat, **more: Any) -> Finding:
    """Make a finding of what the kernel itself complained about."""
    return Finding(Outcome.KERNEL_SPLAT, splat.title, program, splat=splat, **more)
