# SPDX-License-Identifier: GPL-2.0-only
"""Build each design in each variant of its configuration, and look whether it behaves."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from zsfuzz.boot import boot
from zsfuzz.bootfailure import boot_trouble, boots_so_again
from zsfuzz.corpusfile import load_dir
from zsfuzz.errors import BootFailed, ZsfuzzError
from zsfuzz.findings.finding import Finding
from zsfuzz.findings.followup import finding_of
from zsfuzz.findings.store import FindingStore
from zsfuzz.findings.verdict import Boot, Reproduced, count_hits, reproduce
from zsfuzz.manifest import finding_manifest
from zsfuzz.outcome import Outcome, exit_code
from zsfuzz.runner import Runner, Trouble
from zsfuzz.smoke import Smoke, smoke_test
from zsmodel import Model
from zstools.errors import BuildInterruptedError, ZsToolsError
from zstools.kernel import Kernel, KernelSpec, ensure_kernel
from zstools.paths import begin_dirs
from zstools.plan import find_variants
from zstools.progress import BuildProgress

DEFAULT = "default"  # the variant that changes nothing
MEANS = ("gcov", "selftests", "watchdogs")  # of other tests: zsmalloc is built as ever
PROGRAMS = 2000  # mutated ones, for each combination
_ALIGN = "<<>><"  # of the columns of the table


@dataclass(frozen=True)
class Row:
    """How one combination ended; `seconds` is what its build took, whenever that was."""

    design: str
    variant: str
    outcome: Outcome
    seconds: float | None = None  # None: it was not built
    programs: int = 0
    detail: str = ""  # a finding's title, or why there is no verdict on the kernel
    saved: Path | None = None  # folder of the finding

    @property
    def verdict(self) -> str:
        """Say it in one line."""
        return f"{self.outcome.value}: {self.detail}" if self.detail else self.outcome.value

    def as_dict(self) -> dict[str, Any]:
        """Give what programs want to know."""
        return {
            "design": self.design,
            "variant": self.variant,
            "outcome": self.outcome.value,
            "detail": self.detail,
            "build_seconds": self.seconds,
            "programs": self.programs,
            "finding": str(self.saved) if self.saved else None,
        }


def all_variants() -> tuple[str, ...]:
    """Name the variants, the one that changes nothing first."""
    return (DEFAULT, *find_variants())


def usual_variants() -> tuple[str, ...]:
    """Name those that the matrix has if none is asked for."""
    return tuple(name for name in all_variants() if name not in MEANS)


def specs_of(
    designs: Sequence[str], variants: Sequence[str], flavour: str, linux: Path | None
) -> list[KernelSpec]:
    """Plan the combinations, those of one variant together: their objects have most in common."""
    return [
        KernelSpec(design, flavour, linux, variants=() if variant == DEFAULT else (variant,))
        for variant in variants
        for design in designs
    ]


def run_matrix(
    specs: Sequence[KernelSpec],
    programs: int,
    output: Path,
    progress: BuildProgress,
    show: Callable[[Row], None],
) -> list[Row]:
    """Build and test every combination, whatever became of the others; `show` each when it ends."""
    rows = []
    seeds = _seeds()
    for spec in specs:
        rows.append(_row(spec, seeds, programs, output, progress))
        show(rows[-1])
    return rows


def exit_code_of(rows: Sequence[Row]) -> int:
    """0: all agree; 1: findings; 2: one was not built, or not tested."""
    return exit_code(row.outcome for row in rows)


def render_matrix(rows: Sequence[Row]) -> str:
    """Lay out all combinations as one table, with the place of each finding below it."""
    cells = [("design", "variant", "build", "programs", "verdict"), *map(_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_ALIGN))]
    lines = [
        "  ".join(f"{text:{_ALIGN[i]}{widths[i]}}" for i, text in enumerate(line)).rstrip()
        for line in cells
    ]
    return "\n".join([*lines, *(f"{r.design} {r.variant}: {r.saved}" for r in rows if r.saved)])


def line_of(row: Row) -> str:
    """Tell of one combination as soon as it has ended."""
    return f"{row.design} {row.variant}: {row.verdict}"


def _cells(row: Row) -> tuple[str, ...]:
    seconds = "-" if row.seconds is None else f"{row.seconds:.0f} s"
    first = row.verdict.splitlines()[0]
    return row.design, row.variant, seconds, f"{row.programs:,}", first


def _seeds() -> list[bytes]:
    wires = []
    for folder in begin_dirs():
        entries, broken = load_dir(folder)
        if broken:
            raise broken[0]
        wires += [entry.program.wire for entry in entries]
    return wires


def _row(
    spec: KernelSpec, seeds: Sequence[bytes], programs: int, output: Path, progress: BuildProgress
) -> Row:
    name = (spec.design, spec.variants[0] if spec.variants else DEFAULT)
    try:
        kernel = ensure_kernel(spec, progress)
    except BuildInterruptedError:
        raise
    except ZsToolsError as error:
        return Row(*name, Outcome.HARNESS_ERROR, detail=f"not built: {error}")
    seconds = float(kernel.manifest["seconds"])
    try:
        smoke, saved = _test(kernel, seeds, programs, output)
    except ZsfuzzError as error:
        return Row(*name, Outcome.HARNESS_ERROR, seconds, detail=str(error))
    if smoke.trouble is None:
        return Row(*name, Outcome.AGREE, seconds, smoke.programs)
    trouble = smoke.trouble
    return Row(*name, trouble.outcome, seconds, smoke.programs, trouble.title, saved)


def _test(
    kernel: Kernel, seeds: Sequence[bytes], programs: int, output: Path
) -> tuple[Smoke, Path | None]:
    with tempfile.TemporaryDirectory(prefix="zsfuzz-matrix-") as work:
        smoke, seen = _smoke(partial(boot, kernel, Path(work) / "console"), seeds, programs)
    if smoke.trouble is None:
        return smoke, None
    trouble = smoke.trouble if seen.hits else replace(smoke.trouble, outcome=Outcome.FLAKY)
    store = FindingStore(output)
    saved = store.save(_finding(kernel, trouble, seen))
    store.close()
    return Smoke(smoke.programs, trouble), saved.path


def _smoke(start: Boot, seeds: Sequence[bytes], programs: int) -> tuple[Smoke, Reproduced]:
    try:
        with start() as machine:
            runner = Runner(machine, Model(machine.kernel))
            smoke = smoke_test(runner, seeds, programs)
            return smoke, _reproduce(runner, smoke.trouble) if smoke.trouble else Reproduced(0, 0)
    except ZsfuzzError as error:
        if error.unsaved:
            return Smoke(0, error.unsaved[0]), Reproduced(0, 0)
        if not isinstance(error, BootFailed):
            raise
        trouble = boot_trouble(error)
        return Smoke(0, trouble), count_hits(lambda: boots_so_again(start, trouble.title))


def _reproduce(runner: Runner, trouble: Trouble) -> Reproduced:
    """Replay; a guest that will not start any more must not cost us the finding."""
    try:
        return reproduce(runner, trouble)
    except ZsfuzzError:
        return Reproduced(0, 0)


def _finding(kernel: Kernel, trouble: Trouble, seen: Reproduced) -> Finding:
    return finding_of(
        trouble,
        kernel=finding_manifest(kernel),
        flavours=(kernel.spec.configuration,),
        reproduced=seen.pair,
    )
