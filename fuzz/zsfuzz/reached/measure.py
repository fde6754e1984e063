# SPDX-License-Identifier: GPL-2.0-only
"""Count what fuzzing reaches after some time, what tests reach, and what given programs do."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from pathlib import Path
from typing import Any

from zsfuzz.boot import boot
from zsfuzz.corpusfile import load_dir
from zsfuzz.errors import HarnessError
from zsfuzz.mutation.rawbytes import encode
from zsfuzz.outcome import Outcome
from zsfuzz.reached.counters import CounterReader, Profile
from zsfuzz.reached.lines import Lines, count_lines
from zsfuzz.runner import Runner
from zsfuzz.selftests.guest import attempt
from zsfuzz.selftests.programs import DEFAULT
from zsfuzz.selftests.root import ensure_root
from zsfuzz.selftests.run import LIMIT
from zsfuzz.spawn import run_worker
from zsfuzz.workerconfig import worker_config
from zsmodel import Model
from zstools.kernel import Kernel
from zstools.progress import BuildProgress

PATIENCE = 120.0  # seconds beyond the last time


@dataclass(frozen=True)
class Reached:
    """What was reached by one means: lines with their counts, and how it was done."""

    name: str
    lines: Lines
    seconds: float = 0.0
    programs: int = 0
    operations: int = 0
    restarts: int = 0  # what a guest that died had counted is lost


def fuzz(
    kernel: Kernel, times: Sequence[float], seed: int, corpus: Sequence[Path]
) -> list[Reached]:
    """Fuzz once, and count before the first program and after each time, in seconds."""
    with tempfile.TemporaryDirectory(prefix="zsfuzz-reached-") as folder:
        work = Path(folder)
        _run_worker(kernel, (0.0, *sorted(times)), seed, corpus, work)
        files = sorted(work.glob("reached-*.json"), key=lambda p: int(p.stem.rpartition("-")[2]))
        found = [json.loads(path.read_text()) for path in files]
        if len(found) != len(times) + 1:
            raise HarnessError(f"counted {len(found)} times instead of {len(times) + 1}")
        names = ["boot", *(f"fuzzer, {seconds:g} s" for seconds in sorted(times))]
        return [_reached(kernel, name, one) for name, one in zip(names, found, strict=True)]


def _reached(kernel: Kernel, name: str, facts: Any) -> Reached:
    profiles = [
        Profile(p["path"], p["version"], p["stamp"], tuple(map(tuple, p["functions"])))
        for p in facts["profiles"]
    ]
    lines = count_lines(kernel, profiles)
    numbers = (facts[key] for key in ("seconds", "programs", "operations", "restarts"))
    return Reached(name, lines, *numbers)


def _run_worker(
    kernel: Kernel, times: Sequence[float], seed: int, corpus: Sequence[Path], work: Path
) -> None:
    inputs = work / "inputs"
    inputs.mkdir()
    for entry in (entry for folder in corpus for entry in load_dir(folder)[0]):
        (inputs / f"seed-{entry.program.digest}").write_bytes(encode(entry.program.wire))
    config = worker_config(kernel, name="explore", role="explore", work=work, output=work)
    replace(config, seed=seed).save(work / "explore.json")
    (work / "times.json").write_text(json.dumps(list(times)))
    files = [str(work / "explore.json"), str(work / "times.json")]
    run_worker(
        "the explorer", ["zsfuzz.reached.worker", *files], work / "explore.log",
        seconds=max(times) + PATIENCE,
    )  # fmt: skip
    raise_on_findings(work)


def raise_on_findings(output: Path) -> None:
    """Raise HarnessError if kernel and model differ; what does not come again may be the host's."""
    for path in sorted(output.glob("findings/*/finding.json")):
        if json.loads(path.read_text())["outcome"] != Outcome.FLAKY.value:
            report = (path.parent / "report.txt").read_text()
            raise HarnessError(f"kernel and model differ, run `zsfuzz run`: {report}")


def selftests(kernel: Kernel, progress: BuildProgress, limit: float = LIMIT) -> Reached:
    """Run the kernel's own tests of zswap and zram, each in a guest, and add up what they reach."""
    reader, parts = CounterReader(kernel.linux), []
    root = ensure_root(kernel, DEFAULT, progress)
    seconds = 0.0
    for program in DEFAULT:
        with tempfile.TemporaryDirectory(prefix="zsfuzz-reached-") as work:
            seen: list[list[Profile]] = []
            look = partial(_look, reader, seen)
            done = attempt(kernel, root, program, Path(work), limit, look)
        if not seen:
            raise HarnessError(f"{program} did not end in {limit:g} s, so nothing was counted")
        parts.append(seen[0])
        seconds += done.seconds
    profiles = reduce(_sum, parts)
    return Reached("selftests of zswap and zram", count_lines(kernel, profiles), seconds)


def _look(reader: CounterReader, seen: list[list[Profile]], pid: int) -> None:
    seen.append(reader.read(pid))


def _sum(one: list[Profile], two: list[Profile]) -> list[Profile]:
    return [a.plus(b) for a, b in zip(one, two, strict=True)]


def replayed(kernel: Kernel, programs: Sequence[bytes], scratch: Path) -> Reached:
    """Run programs one after the other, with an audit at the end; HarnessError on trouble."""
    with boot(kernel, scratch / "console") as machine:
        runner = Runner(machine, Model(machine.kernel))
        for wire in programs:
            if (trouble := runner.run(wire)) is not None:
                raise HarnessError(f"a program that should agree does not: {trouble.title}")
        if (trouble := runner.audit()) is not None:
            raise HarnessError(f"something was left behind: {trouble.title}")
        lines = count_lines(kernel, CounterReader(kernel.linux).read(machine.pid))
    operations = sum(len(wire) // 8 for wire in programs)
    return Reached("given programs", lines, 0.0, len(programs), operations)
