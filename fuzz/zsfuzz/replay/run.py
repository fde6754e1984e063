# SPDX-License-Identifier: GPL-2.0-only
"""Replay in worker processes, each with a guest of its own."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zsfuzz.boot import MEMORY
from zsfuzz.corpusfile import program_files
from zsfuzz.errors import BadCorpusFile, BootFailed, ZsfuzzError
from zsfuzz.guest.process import SHM
from zsfuzz.outcome import Outcome
from zsfuzz.replay.verdict import BadFile, ReplayReport, Verdict, undecided
from zsfuzz.spawn import WorkerProcess
from zsfuzz.workerconfig import worker_config
from zstools.fastmodules import ensure_fast_modules
from zstools.kernel import Kernel

FEW_PROGRAMS = 200  # for which a further guest is not worth its boot
NO_AUDIT = (
    "each time its guest was gone before it could be seen what it left behind: replay it alone, "
    "and if `dmesg` tells of the OOM killer, free some memory"
)
POLITE = 19  # niceness of guests that share CPUs with workers: an idle guest polls


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 1) of `count` nearly equal ones."""

    number: int = 1
    count: int = 1

    def of(self, paths: Sequence[Path]) -> list[Path]:
        """Pick every count-th file, so that neighbours, which are often alike, are dealt out."""
        return list(paths[self.number - 1 :: self.count])


ALL = Shard()


def replay(
    kernel: Kernel,
    paths: Sequence[Path],
    times: int = 1,
    shard: Shard = ALL,
    jobs: int | None = None,
) -> ReplayReport:
    """Run each program `times` times; broken files are reported and the others still run.

    Where a worker fails in the middle, or its kernel complains when one more guest boots, the
    programs that nothing is known of are undecided.  HarnessError or BootFailed if that is all.
    """
    errors: list[BadFile] = []
    failures: list[str] = []
    complaints: list[str] = []
    files = shard.of(find_files(paths, errors))
    jobs = min(jobs or default_jobs(kernel.spec.flavour), -(-len(files) // FEW_PROGRAMS)) or 1
    with tempfile.TemporaryDirectory(prefix="zsfuzz-replay-") as work:
        results = _run_workers(kernel, files, times, jobs, Path(work)) if files else []
    verdicts = {file: Verdict(file, Outcome.AGREE, tries=times) for file in files}
    for result in results:
        errors += [BadFile(Path(bad["path"]), bad["reason"]) for bad in result["bad"]]
        why = result["failed"] or result["complaint"] or NO_AUDIT
        for path in map(Path, result["undecided"]):
            verdicts[path] = undecided(path, why)
        found = map(Verdict.from_dict, result["verdicts"])
        verdicts |= {verdict.path: verdict for verdict in found}
        failures += [result["failed"]] if result["failed"] else []
        complaints += [result["complaint"]] if result["complaint"] else []
    for bad in errors:
        verdicts.pop(bad.path, None)
    return ReplayReport(
        tuple(verdicts.values()),
        tuple(errors),
        describe(kernel),
        max((result["seconds"] for result in results), default=0.0),
        sum(result["operations"] for result in results),
        jobs,
        tuple(failures),
        tuple(complaints),
    )


def describe(kernel: Kernel) -> str:
    """Name the kernel in a few words."""
    spec = kernel.spec
    return f"{kernel.version}, design {spec.design}, {spec.flavour}"


def find_files(paths: Sequence[Path], errors: list[BadFile]) -> list[Path]:
    """List the files meant, each once; folders stand for the programs in and below them."""
    found: dict[Path, None] = {}
    bad: list[BadCorpusFile] = []
    for path in paths:
        try:
            found |= dict.fromkeys(program_files(path, bad) if path.is_dir() else [path])
        except BadCorpusFile as error:
            bad.append(error)
    errors += [BadFile(error.path, str(error)) for error in bad]
    return list(found)


def default_jobs(flavour: str) -> int:
    """Count the CPUs and one, as guests that swap wait; no more than there is memory for."""
    try:
        room = shutil.disk_usage(SHM).free // ((MEMORY[flavour] << 20) * 5 // 4)
    except OSError:
        room = 1
    return max(1, min(len(os.sched_getaffinity(0)) + 1, room))


def _run_workers(
    kernel: Kernel, files: Sequence[Path], times: int, jobs: int, work: Path
) -> list[dict[str, Any]]:
    fast = ensure_fast_modules()
    workers = []
    try:
        for job in range(jobs):
            name = f"replay-{job}"
            (work / f"{name}.list").write_text(json.dumps([str(f) for f in files[job::jobs]]))
            config = worker_config(kernel, name=name, role="replay", work=work, output=work)
            config = replace(config, times=times, **_place(job, jobs))
            workers.append(WorkerProcess(config, fast))
        results = [_result_of(worker) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    failures = [result for result in results if isinstance(result, ZsfuzzError)]
    if len(failures) == len(results):
        raise next((one for one in failures if isinstance(one, BootFailed)), failures[0])
    return [
        _nothing_of(worker, result, work) if isinstance(result, ZsfuzzError) else result
        for worker, result in zip(workers, results, strict=True)
    ]


def _place(job: int, jobs: int) -> dict[str, Any]:
    """Give worker and guest a CPU each, if there are enough; else guests are to be polite."""
    cpus = sorted(os.sched_getaffinity(0))
    if 2 * jobs <= len(cpus):
        return {"host_cpu": cpus[2 * job], "guest_cpu": cpus[2 * job + 1]}
    return {"guest_nice": POLITE}


def _result_of(worker: WorkerProcess) -> dict[str, Any] | ZsfuzzError:
    code = worker.process.wait()
    path = Path(worker.config.work) / f"{worker.config.name}.results"
    if code or not path.exists():
        return worker.failure(code)
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def _nothing_of(worker: WorkerProcess, failure: ZsfuzzError, work: Path) -> dict[str, Any]:
    """Say of a worker that is gone, while others did their part, that nothing is known of its."""
    names = json.loads((work / f"{worker.config.name}.list").read_text())
    kernels = isinstance(failure, BootFailed)
    return {
        "verdicts": [], "bad": [], "operations": 0, "seconds": 0.0, "undecided": names,
        "failed": "" if kernels else str(failure), "complaint": str(failure) if kernels else "",
    }  # fmt: skip
