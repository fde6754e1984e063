# SPDX-License-Identifier: GPL-2.0-only
"""Run saved programs again, each on its own, and say how it ends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.boot import boot
from zsfuzz.corpusfile import Entry, load, load_dir
from zsfuzz.errors import BadCorpusFile
from zsfuzz.finding import Finding
from zsfuzz.manifest import finding_manifest
from zsfuzz.outcome import EXIT_CLEAN, EXIT_FINDINGS, EXIT_HARNESS_ERROR, Outcome
from zsfuzz.report import render
from zsfuzz.runner import Runner, Trouble
from zsmodel import Model
from zstools.kernel import Kernel

FEW = 20  # programs, up to which each is named even if all is well


@dataclass(frozen=True)
class Verdict:
    """How one program ended, `hits` times of `tries` in trouble; `text` is a report, or ""."""

    path: Path
    outcome: Outcome
    hits: int
    tries: int
    text: str = ""

    @property
    def words(self) -> str:
        """Say it in a few words."""
        times = f" ({self.hits} of {self.tries} times)" if self.hits else ""
        return f"{self.outcome.value}{times}"


@dataclass(frozen=True)
class ReplayReport:
    """How all programs ended, and which files could not be used."""

    verdicts: tuple[Verdict, ...]
    errors: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0: all agree; 1: some do not; 2: some files could not be used."""
        if self.errors:
            return EXIT_HARNESS_ERROR
        return EXIT_FINDINGS if any(v.hits for v in self.verdicts) else EXIT_CLEAN

    @property
    def last_line(self) -> str:
        """Count it all."""
        troubled = sum(1 for verdict in self.verdicts if verdict.hits)
        return (
            f"{len(self.verdicts)} programs, {troubled} in trouble, "
            f"{len(self.errors)} files that could not be used"
        )


def replay(kernel: Kernel, paths: Sequence[Path], times: int = 1) -> ReplayReport:
    """Run each program `times` times; broken files are reported and the others still run."""
    errors: list[str] = []
    entries = list(_entries(paths, errors))
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="zsfuzz-replay-") as work:
        if entries:
            with boot(kernel, Path(work) / "console") as machine:
                runner = Runner(machine, Model(machine.kernel))
                verdicts = [_replay_one(runner, kernel, entry, times) for entry in entries]
    return ReplayReport(tuple(verdicts), tuple(errors))


def _entries(paths: Sequence[Path], errors: list[str]) -> Iterator[Entry]:
    for path in paths:
        try:
            if path.is_dir():
                found, broken = load_dir(path)
                errors += map(str, broken)
                yield from found
            else:
                yield load(path)
        except BadCorpusFile as error:
            errors.append(str(error))


def _replay_one(runner: Runner, kernel: Kernel, entry: Entry, times: int) -> Verdict:
    path = entry.path or Path()
    wire = entry.program.wire
    found = [trouble for _ in range(times) if (trouble := runner.run_and_audit(wire)) is not None]
    if not found:
        return Verdict(path, Outcome.AGREE, 0, times)
    text = render(_finding(found[0], kernel, entry, (len(found), times)), path)
    return Verdict(path, found[0].outcome, len(found), times, text)


def _finding(trouble: Trouble, kernel: Kernel, entry: Entry, seen: tuple[int, int]) -> Finding:
    return Finding(
        trouble.outcome,
        trouble.title,
        entry.program,
        kernel=finding_manifest(kernel),
        step=trouble.divergence.step if trouble.divergence else None,
        divergence=trouble.divergence,
        splat=trouble.splat,
        detail=trouble.reason,
        console=trouble.console,
        flavours=(kernel.spec.flavour,),
        reproduced=seen,
    )
