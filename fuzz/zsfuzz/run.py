# SPDX-License-Identifier: GPL-2.0-only
"""One fuzzing run: workers on two flavours of a kernel, one corpus, findings, and a summary."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zsfuzz.corpus.keeper import InputKeeper
from zsfuzz.corpusfile import Entry, load_dir, save
from zsfuzz.coverage import Coverage, CoverageMap, read_hits
from zsfuzz.errors import BadCorpusFile, HarnessError
from zsfuzz.findings.store import locked_output
from zsfuzz.mutation.rawbytes import DEFAULT_LIMIT, encode
from zsfuzz.outcome import Outcome
from zsfuzz.program import Program
from zsfuzz.spawn import EXIT_BOOT_FAILED, WorkerProcess
from zsfuzz.swappath import why_no_swap
from zsfuzz.terminal import one_line
from zsfuzz.workerconfig import WorkerConfig, worker_config
from zstools.fastmodules import ensure_fast_modules
from zstools.kernel import Kernel

NOTE = "found by zsfuzz run: new coverage"
TICK = 0.5  # seconds between looks at the workers
KEEP_EVERY = 10  # ticks between looks for new inputs; most are soon replaced by shorter ones
START_LIMIT = 60.0  # seconds until a worker must have run something
STOP_LIMIT = 90.0  # seconds to finish after being asked; a guest may hang meanwhile


@dataclass(frozen=True)
class RunOptions:
    """What to run; `seconds` and `operations` of None mean without that limit."""

    output: Path
    corpus: tuple[Path, ...] = ()
    seconds: float | None = None
    operations: int | None = None
    seed: int = 1
    max_operations: int = DEFAULT_LIMIT
    until_finding: bool = False  # stop as soon as there is one

    def within(self, folder: str) -> RunOptions:
        """Put the output into a folder of its own."""
        return replace(self, output=self.output / folder)


@dataclass(frozen=True)
class Progress:
    """What a progress line shows."""

    seconds: float
    programs: int
    operations: int
    rate: float  # programs a second, since the last one
    inputs: int
    sites: int
    findings: int
    checked: int


@dataclass(frozen=True)
class Result:
    """How a run went."""

    design: str
    flavours: tuple[str, ...]
    version: str
    seconds: float
    stats: dict[str, dict[str, int]]  # by worker
    coverage: Coverage
    findings: tuple[dict[str, object], ...]
    bad_files: tuple[str, ...] = ()
    new_inputs: int = 0
    compiled: bool = False  # model, decoder and mutator
    output: str = ""
    no_swap: str = ""  # why the operations on pages of processes were refused
    stopped: bool = False  # by stop(), before its time
    profile: str = ""  # in what the kernel differs lawfully from the model's defaults
    hits: tuple[int, ...] = ()  # of each coverage site, by the explorer
    boot_failed: bool = False  # a guest did not get ready, as its kernel complained

    def total(self, name: str) -> int:
        """Add up one counter over all workers."""
        return sum(stats.get(name, 0) for stats in self.stats.values())

    @property
    def outcomes(self) -> dict[str, int]:
        """Count programs by outcome, those that agreed included."""
        counts = {outcome.value: self.total(f"outcome {outcome.value}") for outcome in Outcome}
        counts[Outcome.AGREE.value] = self.total("programs") - sum(counts.values())
        return counts

    @property
    def troubled(self) -> bool:
        """Tell whether any program of this run did not agree, or no guest got ready for it."""
        return self.boot_failed or any(
            n for name, n in self.outcomes.items() if name != Outcome.AGREE.value
        )

    def as_dict(self) -> dict[str, object]:
        """Give the summary as `--json` writes it."""
        explorer = self.stats.get("explore", {})
        return {
            "design": self.design,
            "flavours": list(self.flavours),
            "kernel": self.version,
            "profile": self.profile or "default",
            "seconds": round(self.seconds, 3),
            "programs": self.total("programs"),
            "operations": self.total("operations"),
            "operations_by_kind": {
                name.removeprefix("op "): self.total(name)
                for name in explorer
                if name.startswith("op ")
            },
            "programs_per_second": round(explorer.get("programs", 0) / max(self.seconds, 1e-9), 1),
            "outcomes": self.outcomes,
            "findings": list(self.findings),
            "coverage": self.coverage.as_dict(),
            "tolerated": self.total("tolerated"),
            "skipped": self.total("skipped"),
            "audits": self.total("audits"),
            "compiled": self.compiled,
            "restarts": self.total("restarts"),
            "killed": self.total("killed"),
            "workers": self.stats,
            "bad_files": list(self.bad_files),
            "no_swap": self.no_swap,
            "output": self.output,
        }


class Run:
    """Explore on the first kernel; check what is found on the others.

    Raises OutputBusy if another run uses the output directory, HarnessError if a worker fails.
    """

    def __init__(
        self, kernels: Sequence[Kernel], options: RunOptions, show: Callable[[Progress], None]
    ) -> None:
        self.kernels = kernels
        self.options = options
        self.show = show
        self.output = options.output.absolute()
        self.work = self.output / "work"
        self.inputs = self.work / "inputs"
        self.corpus = self.output / "corpus"
        self.map = CoverageMap(kernels[0].layout)
        self._keeper = InputKeeper(self.inputs, options.max_operations, self._save)
        self._kept = 0
        self._last = (0.0, 0)
        self._bad: list[str] = []
        self._stop_asked = False
        self._boot_failed = False

    def run(self) -> Result:
        """Run to the end of the time, the operations, or until `stop` is called."""
        with locked_output(self.output):
            self._prepare()
            fast = ensure_fast_modules()
            workers = [WorkerProcess(config, fast) for config in self._configs()]
            try:
                self._watch(workers)
                self._finish(workers)
            finally:
                for worker in workers:
                    worker.kill()
            result = self._result(workers)
            return replace(result, compiled=fast is not None, stopped=self._stop_asked)

    def stop(self) -> None:
        """End the run soon, in order."""
        self._stop_asked = True

    # ---- before ------------------------------------------------------------------------------

    def _prepare(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        self.inputs.mkdir(parents=True)
        self.corpus.mkdir(exist_ok=True)
        for folder in (*self.options.corpus, self.corpus):
            entries, errors = load_dir(folder)
            self._bad += [str(error) for error in errors]
            for entry in entries:
                self._add_input(entry.program)

    def _add_input(self, program: Program) -> None:
        if len(program) <= self.options.max_operations:
            data = encode(program.canonical().wire)
            name = f"seed-{program.digest}"
            (self.inputs / name).write_bytes(data)
            self._keeper.known[name] = ""

    def _configs(self) -> list[WorkerConfig]:
        configs = [self._config(i, kernel) for i, kernel in enumerate(self.kernels)]
        return [
            replace(config, others=tuple(other for other in configs if other is not config))
            for config in configs
        ]

    def _config(self, number: int, kernel: Kernel) -> WorkerConfig:
        role = "check" if number else "explore"
        name = f"check-{kernel.spec.flavour}" if number else role
        config = worker_config(kernel, name=name, role=role, work=self.work, output=self.output)
        return replace(
            config,
            seed=self.options.seed,
            seconds=self.options.seconds,
            operations=self.options.operations,
            max_operations=self.options.max_operations,
        )

    # ---- meanwhile ---------------------------------------------------------------------------

    def _watch(self, workers: list[WorkerProcess]) -> None:
        """Watch until the explorer ends; HarnessError if it never starts, or a worker fails."""
        explorer, begin = workers[0], time.monotonic()
        started: float | None = None
        ticks = 0
        while explorer.wait(TICK) is None:
            now = time.monotonic()
            self._check_alive(workers)
            if started is None:
                if explorer.stats.get("programs"):
                    started = now
                elif now - begin > START_LIMIT:
                    raise HarnessError(f"no program ran in {START_LIMIT:g} s: see {explorer.log}")
            else:
                ticks += 1
                if ticks % KEEP_EVERY == 0:
                    self._kept += self._keeper.keep()
                self.show(self._progress(workers, now - started))
            settled = any(worker.stats.get("settled") for worker in workers)
            if self._stop_asked or self._boot_failed or (self.options.until_finding and settled):
                explorer.ask_to_stop()
        self._check_alive(workers)

    def _check_alive(self, workers: list[WorkerProcess]) -> None:
        for worker in workers:
            code = worker.process.poll()
            if code == EXIT_BOOT_FAILED:  # it has saved a finding
                self._boot_failed = True
            elif code:
                raise worker.failure(code)

    def _progress(self, workers: list[WorkerProcess], seconds: float) -> Progress:
        stats = workers[0].stats
        then, before = self._last
        programs = stats.get("programs", 0)
        self._last = (seconds, programs)
        return Progress(
            seconds=seconds,
            programs=programs,
            operations=stats.get("operations", 0),
            rate=(programs - before) / max(seconds - then, 1e-9),
            inputs=len(self._keeper.known),
            sites=sum(1 for n in self._hits() if n),
            findings=len(self._findings()),
            checked=sum(worker.stats.get("programs", 0) for worker in workers[1:]),
        )

    def _hits(self) -> list[int]:
        return read_hits(self.work / "explore.hits") or [0] * len(self.map.pcs)

    def _save(self, program: Program) -> None:
        save(self.corpus, Entry(program, note=NOTE), durable=False)

    # ---- after -------------------------------------------------------------------------------

    def _finish(self, workers: list[WorkerProcess]) -> None:
        self._kept += self._keeper.keep()
        for worker in workers[1:]:
            worker.ask_to_stop()
        for worker in workers[1:]:
            if worker.wait(STOP_LIMIT) is None:
                raise HarnessError(
                    f"worker {worker.config.name} did not end {STOP_LIMIT:g} s after it was asked"
                )
        self._check_alive(workers)

    def _findings(self) -> list[Path]:
        return sorted(self.output.glob("findings/*/finding.json"))

    def _result(self, workers: list[WorkerProcess]) -> Result:
        return Result(
            design=self.kernels[0].spec.design,
            flavours=tuple(kernel.spec.flavour for kernel in self.kernels),
            version=self.kernels[0].version,
            seconds=workers[0].stats.get("microseconds", 0) / 1e6,
            stats={worker.config.name: worker.stats for worker in workers},
            coverage=self.map.measure(self._hits()),
            hits=tuple(self._hits()),
            boot_failed=self._boot_failed,
            findings=tuple(describe_finding(path) for path in self._findings()),
            bad_files=tuple(self._bad),
            new_inputs=self._kept,
            output=str(self.output),
            no_swap=self._why_no_swap(workers[0]),
            profile=self.kernels[0].spec.profile or "",
        )

    def _why_no_swap(self, explorer: WorkerProcess) -> str:
        return why_no_swap(self.kernels[0].layout) if explorer.stats.get("no swap path") else ""


def describe_finding(path: Path) -> dict[str, object]:
    """Read from a finding.json what summaries tell of it."""
    raw = json.loads(path.read_text())
    title, outcome = (one_line(str(raw.get(key))) for key in ("title", "outcome"))
    return {"title": title, "outcome": outcome, "path": str(path.parent)}


def check_corpus(folders: Sequence[Path]) -> None:
    """Raise BadCorpusFile for a corpus folder that is not there."""
    for folder in folders:
        if not folder.is_dir():
            raise BadCorpusFile(folder, "no such folder", "give one with zsfuzz programs in it")
