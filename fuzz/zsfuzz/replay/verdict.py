# SPDX-License-Identifier: GPL-2.0-only
"""How replayed programs ended, each and all together."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS, EXIT_HARNESS_ERROR, Outcome

FEW = 20  # programs, up to which each is named even if all is well


@dataclass(frozen=True)
class Verdict:
    """How one program ended, `hits` times of `tries` in trouble; `text` is a report, or "".

    `others` counts further programs that share the verdict, where it could not be told which of
    them is the cause.
    """

    path: Path
    outcome: Outcome
    hits: int = 0
    tries: int = 1
    title: str = ""
    text: str = ""
    others: int = 0

    @property
    def troubled(self) -> bool:
        """Tell whether the program did not simply agree."""
        return self.outcome not in (Outcome.AGREE, Outcome.HARNESS_ERROR)

    @property
    def unknown(self) -> bool:
        """Tell whether nobody knows how it ends; the title says why."""
        return self.outcome is Outcome.HARNESS_ERROR

    @property
    def words(self) -> str:
        """Say it in a few words."""
        if self.unknown:
            return "undecided"
        times = f" ({self.hits} of {self.tries} times)" if self.tries else " (not replayed)"
        times = times if self.troubled else ""
        more = f", or one of {self.others} programs that ran with it" if self.others else ""
        return f"{self.outcome.value}{times}{more}"

    def as_dict(self) -> dict[str, Any]:
        """Give what goes into JSON."""
        return asdict(self) | {"path": str(self.path), "outcome": self.outcome.value}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Verdict:
        """Read back what `as_dict` gave."""
        return cls(**raw | {"path": Path(raw["path"]), "outcome": Outcome(raw["outcome"])})


def undecided(path: Path, reason: str) -> Verdict:
    """Say of a program that it was not run, or that nobody could look at what it left behind."""
    return Verdict(path, Outcome.HARNESS_ERROR, tries=0, title=reason)


@dataclass(frozen=True)
class BadFile:
    """A file that could not be used; `reason` says why, and what to do."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class ReplayReport:
    """How all programs ended, in order of their paths, and which files could not be used.

    `seconds` are those of the slowest worker, from its first program to its last: without boots.
    """

    verdicts: tuple[Verdict, ...]
    errors: tuple[BadFile, ...] = ()
    kernel: str = ""
    seconds: float = 0.0
    operations: int = 0
    jobs: int = 1
    failures: tuple[str, ...] = ()  # of the harness, that ended a worker before its end
    complaints: tuple[str, ...] = ()  # of the kernel at a boot, that did so

    @property
    def exit_code(self) -> int:
        """0: all agree; 1: some do not; 2: the harness failed, files or verdicts are missing."""
        if self.errors or self.failures:
            return EXIT_HARNESS_ERROR
        if self.troubled or self.complaints:
            return EXIT_FINDINGS
        return EXIT_HARNESS_ERROR if self.unknown else EXIT_CLEAN

    @property
    def troubled(self) -> tuple[Verdict, ...]:
        """Pick the programs that did not simply agree."""
        return tuple(verdict for verdict in self.verdicts if verdict.troubled)

    @property
    def unknown(self) -> tuple[Verdict, ...]:
        """Pick the programs that are undecided."""
        return tuple(verdict for verdict in self.verdicts if verdict.unknown)

    @property
    def last_line(self) -> str:
        """Count it all."""
        unknown = f"{len(self.unknown)} undecided, " if self.unknown else ""
        return (
            f"{len(self.verdicts)} programs, {len(self.troubled)} in trouble, {unknown}"
            f"{len(self.errors)} files that could not be used"
        )
