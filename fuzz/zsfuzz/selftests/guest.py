# SPDX-License-Identifier: GPL-2.0-only
"""Run one program of the tests in a guest of its own, and see how it ended."""

from __future__ import annotations

import re
import select
import time
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.boot import guest_cpu
from zsfuzz.console import Splat, find_splats
from zsfuzz.errors import HarnessError
from zsfuzz.guest.process import UmlOptions, UmlProcess
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


def attempt(kernel: Kernel, root: Path, program: Program, folder: Path, limit: float) -> Attempt:
    """Boot a guest, run the program, and end the guest after @limit seconds at the latest.

    HarnessError if the guest did not get as far as the program.  Files go into @folder.
    """
    swap = folder / "swap"
    with swap.open("wb") as stream:
        stream.truncate(SWAP)
    started = time.monotonic()
    uml = UmlProcess(_options(kernel, root, program, swap), folder / "console")
    try:
        told, ended = _listen(uml, limit)
    finally:
        uml.kill()
        swap.unlink()
    seconds = time.monotonic() - started
    console = uml.console_text()
    if _BEGIN not in told:
        raise HarnessError(_explain(program, kernel, told, uml))
    output = _END.split(told.partition(_BEGIN)[2])[0]
    cases = _cases(parse(output), _whole(told, ended, limit))
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
    return UmlOptions(kernel.linux, root, MEMORY[kernel.spec.flavour], guest_cpu(), arguments)


def _listen(uml: UmlProcess, limit: float) -> tuple[str, str]:
    """Collect what comes over the line; say "" at the program's end, or else what ended it."""
    told, deadline = b"", time.monotonic() + limit
    while not _END.search(_text(told)):
        if time.monotonic() > deadline:
            return _text(told), "timeout"
        alive = uml.alive  # before looking: what it said last is read
        if select.select([uml.line], [], [], 0.05)[0]:
            more = uml.line.recv(65536)
            told += more
            if more:
                continue
        if not alive:
            return _text(told), f"the guest {uml.exit_status}"
    return _text(told), ""


def _text(told: bytes) -> str:
    return told.decode(errors="replace").replace("\r\n", "\n")


def _whole(told: str, ended: str, limit: float) -> Case:
    if ended == "timeout":
        return Case(WHOLE, Verdict.TIMEOUT, f"did not end within {limit:g} s")
    if ended:
        return Case(WHOLE, Verdict.LOST, ended)
    found = _END.search(told)
    status = int(found["status"]) if found else -1
    if status in (0, _SKIPPED):
        return Case(WHOLE, Verdict.SKIP if status else Verdict.PASS)
    return Case(WHOLE, Verdict.FAIL, f"exit status {status}")


def _cases(report: Report, whole: Case) -> tuple[Case, ...]:
    if whole.verdict is Verdict.SKIP:
        whole = Case(WHOLE, Verdict.SKIP, report.skipped)
    elif whole.verdict is Verdict.PASS and report.planned not in (None, len(report.cases)):
        detail = f"announced {report.planned} cases, told of {len(report.cases)}"
        whole = Case(WHOLE, Verdict.FAIL, detail)
    elif whole.verdict is Verdict.PASS and not report.cases:
        whole = Case(WHOLE, Verdict.FAIL, "told of no case")
    return (*report.cases, whole)


def _explain(program: Program, kernel: Kernel, told: str, uml: UmlProcess) -> str:
    failed = [line.removeprefix(_MARK) for line in told.splitlines() if line.startswith(_MARK)]
    last = failed or uml.console_text().splitlines()[-5:]
    return (
        f"the guest with {program} on {kernel.manifest['name']} did not get as far as the test: "
        f"{' / '.join(last)} (console: {uml.console})"
    )
