# SPDX-License-Identifier: GPL-2.0-only
"""Run one program of the tests in a guest of its own, and see how it ended."""

from __future__ import annotations

import re
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.boot import guest_cpu
from zsfuzz.console.complaints import Splat, find_splats
from zsfuzz.errors import HarnessError
from zsfuzz.guest.process import UmlOptions, UmlProcess
from zsfuzz.guest.uml import START_LIMIT
from zsfuzz.selftests.output import Case, Report, Verdict, parse
from zsfuzz.selftests.programs import Program
from zstools.kernel import Kernel

# MiB; test_no_kmem_bypass takes its sizes from it, and KASAN needs some of it.
MEMORY = {"plain": 512, "kasan": 1024, "lockdep": 1024}
SWAP = 1 << 30  # bytes of the disk to swap to, a sparse file
WHOLE = "(the program)"  # the case that stands for all of it
_SKIPPED = 4  # exit status of a program that skipped itself
_MARK = "zsfuzz-selftests: "
_BEGIN, _END = f"{_MARK}begin\n", re.compile(rf"^{_MARK}end (?P<status>\d+)\n", re.M)


@dataclass(frozen=True)
class Attempt:
    """What one run of a program gave; the last case stands for the program as a whole."""

    cases: tuple[Case, ...]
    splats: tuple[Splat, ...]
    output: str
    console: str
    seconds: float


def attempt(
    kernel: Kernel,
    root: Path,
    program: Program,
    folder: Path,
    limit: float,
    look: Callable[[int], None] | None = None,
) -> Attempt:
    """Boot a guest, run the program for @limit seconds at most, and end the guest.

    HarnessError if the guest did not get as far as the program.  Files go into @folder.  @look is
    called with the guest's process at the program's end, while the guest waits.
    """
    swap = folder / "swap"
    with swap.open("wb") as stream:
        stream.truncate(SWAP)
    started = time.monotonic()
    uml = UmlProcess(_options(kernel, root, program, swap), folder / "console")
    try:
        told, ended = _listen(uml, limit)
        if look is not None and not ended:
            look(uml.pid)
    finally:
        uml.kill()
        swap.unlink()
    seconds = time.monotonic() - started
    console = uml.console_text()
    if _BEGIN not in told:
        raise HarnessError(_explain(program, told, ended, uml))
    cases = cases_of(told, ended, limit)
    output = _output(told)
    return Attempt(cases, tuple(find_splats(console)), output, console, seconds)


def _options(kernel: Kernel, root: Path, program: Program, swap: Path) -> UmlOptions:
    arguments = (
        "root=selftests",  # a name for /proc/mounts, which tests read as if it always had one
        "zswap.enabled=1",
        f"ubd0={swap}",
        "--",
        program.folder,
        program.name,
    )
    memory = MEMORY[kernel.spec.flavour]
    return UmlOptions(kernel.linux, root, memory, guest_cpu(), arguments, disk=swap)


def _listen(uml: UmlProcess, limit: float) -> tuple[str, str]:
    """Collect what comes over the line; say "" at the program's end, or else what ended it."""
    told, begun = "", False
    deadline = time.monotonic() + START_LIMIT
    while not _END.search(told):
        if time.monotonic() > deadline:
            return told, "timeout"
        alive = uml.alive  # before looking: what it said last is read
        more = _hear(uml)
        told = (told + more).replace("\r\n", "\n")
        if not begun and _BEGIN in told:
            begun, deadline = True, time.monotonic() + limit
        if not alive and not more:
            return told, f"the guest {uml.exit_status}"
    return told, ""


def _hear(uml: UmlProcess) -> str:
    if not select.select([uml.line], [], [], 0.05)[0]:
        return ""
    return uml.line.recv(65536).decode(errors="replace")


def cases_of(told: str, ended: str, limit: float) -> tuple[Case, ...]:
    """Judge each case, and last the program as a whole, by all that came over the line.

    `ended` is "" at the program's end, "timeout", or what became of the guest.
    """
    report = parse(_output(told))
    if ended == "timeout":
        whole = Case(WHOLE, Verdict.TIMEOUT, f"did not end within {limit:g} s")
    elif ended:
        whole = Case(WHOLE, Verdict.LOST, ended)
    else:
        whole = _by_status(report, int(_END.findall(told)[0]))
    return (*report.cases, whole)


def _output(told: str) -> str:
    return _END.split(told.partition(_BEGIN)[2])[0]


def _by_status(report: Report, status: int) -> Case:
    if status == _SKIPPED:
        return Case(WHOLE, Verdict.SKIP, report.skipped)
    if status:
        return Case(WHOLE, Verdict.FAIL, f"exit status {status}")
    if report.planned not in (None, len(report.cases)):
        detail = f"announced {report.planned} cases, told of {len(report.cases)}"
        return Case(WHOLE, Verdict.FAIL, detail)
    if not report.cases:
        return Case(WHOLE, Verdict.FAIL, "told of no case")
    return Case(WHOLE, Verdict.PASS)


def _explain(program: Program, told: str, ended: str, uml: UmlProcess) -> str:
    failed = [line.removeprefix(_MARK) for line in told.splitlines() if line.startswith(_MARK)]
    last = failed or [ended, *uml.console_text().splitlines()[-5:]]
    return f"the guest with {program} did not get as far as the test: {' / '.join(last)}"
