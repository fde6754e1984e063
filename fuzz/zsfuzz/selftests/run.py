# SPDX-License-Identifier: GPL-2.0-only
"""Run the tests on each design, and again where they differ from stock."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from zsfuzz.errors import OutputLost
from zsfuzz.selftests.compare import CONTROL, Results, find_differences
from zsfuzz.selftests.guest import Attempt, attempt
from zsfuzz.selftests.programs import Program
from zsfuzz.selftests.root import ensure_root
from zstools.kernel import Kernel
from zstools.progress import BuildProgress

VARIANT = "selftests"  # of the configuration
LIMIT = 300.0  # seconds for one program; on an idle machine they take 5 to 15
_TRIES = 3  # of a program that ends otherwise on a design


def run_selftests(
    kernels: Mapping[str, Kernel],
    programs: Sequence[Program],
    output: Path,
    progress: BuildProgress,
    show: Callable[[str], None],
    limit: float = LIMIT,
) -> Results:
    """Run all programs on the kernel of each design, stock among them; `show` what is going on.

    What the tests and the kernels printed is left in @output.  HarnessError if the tests do not
    build, or a guest does not get as far as a test.
    """
    roots = {d: ensure_root(kernel, programs, progress) for d, kernel in kernels.items()}
    attempts: dict[tuple[str, Program], list[Attempt]] = {}

    def once(design: str, program: Program) -> None:
        show(f"{program} on {design}")
        with tempfile.TemporaryDirectory(prefix="zsfuzz-selftests-") as work:
            got = attempt(kernels[design], roots[design], program, Path(work), limit)
        done = attempts.setdefault((design, program), [])
        done.append(got)
        _save(got, output, f"{design}-{program.folder}-{program.name}-{len(done)}")

    _clear(output)
    for program in programs:
        for design in kernels:
            once(design, program)
    results = Results(tuple(kernels), tuple(programs), attempts)
    for one in find_differences(results):
        for design in (CONTROL, one.design):
            while len(attempts[design, one.program]) < _TRIES:
                once(design, one.program)
    return results


def _clear(output: Path) -> None:
    try:
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
    except OSError as error:
        raise OutputLost(output, error) from error


def _save(got: Attempt, output: Path, name: str) -> None:
    path = output / f"{name}.output"
    try:
        path.write_text(got.output)
        path = output / f"{name}.console"
        path.write_text(got.console)
    except OSError as error:
        raise OutputLost(path, error) from error
