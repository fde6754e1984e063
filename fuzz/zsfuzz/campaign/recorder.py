# SPDX-License-Identifier: GPL-2.0-only
"""Write what workers did, reached and found into the database, every second."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zsfuzz.atomic import replace_file
from zsfuzz.campaign.found import Found
from zsfuzz.campaign.state import State, add_up
from zsfuzz.coverage import Coverage, CoverageMap
from zstools.kernel import Kernel

TIMELINE_EVERY = 10.0  # seconds


class Clock:
    """Campaign time: seconds of all runs, by a clock that never jumps."""

    def __init__(self, before: float) -> None:
        self.before = before
        self._begin = time.monotonic()

    @property
    def run_seconds(self) -> float:
        """Seconds since this run began."""
        return time.monotonic() - self._begin

    @property
    def at(self) -> float:
        """Seconds of all runs together."""
        return self.before + self.run_seconds


@dataclass
class KernelRecord:
    """What was reached on one kernel."""

    map: CoverageMap
    ended: list[int]  # hits of all workers that have ended
    sites: int  # that the database says were reached
    live: dict[int, list[int]] = field(default_factory=dict)

    def grown(self) -> Coverage | None:
        """Measure what was reached if that is more than the database says."""
        hits = add_up([h for h in (self.ended, *self.live.values()) if h])
        sites = sum(1 for n in hits if n)
        return self.map.measure(hits) if sites > self.sites else None


class Recorder:
    """Knows the totals at any time; `write` may fail on a full disk, and is then called again."""

    def __init__(self, state: State, run: int, clock: Clock) -> None:
        self.state = state
        self.run = run
        self.clock = clock
        self.kernels: dict[str, KernelRecord] = {}
        self.findings = Found(state)
        self._ended = Counter(state.totals())
        self._live: dict[int, tuple[str, dict[str, int], list[int]]] = {}
        self._events: list[dict[str, object]] = []
        self._timeline_at = -TIMELINE_EVERY
        self._options = state.rows("SELECT options FROM runs WHERE id = ?", run)[0]["options"]

    # ---- what is known ----------------------------------------------------------------------

    def know_kernel(self, kernel: Kernel, *, copy: bool = True) -> None:
        """Enter a kernel, and keep what reports need of it."""
        map_ = CoverageMap(kernel.layout)
        none = map_.measure([0] * len(map_.pcs))
        written = self.state.rows(
            "SELECT max(sites) AS sites FROM coverage WHERE kernel = ?", kernel.key
        )
        sites = written[0]["sites"] or 0
        self.kernels[kernel.key] = KernelRecord(map_, self.state.hits(kernel.key), sites)
        if copy:
            _copy_facts(kernel, self.state.layout.kernels / kernel.key)
        with self.state.transaction():
            self.state.insert(
                "kernels", key=kernel.key, design=kernel.spec.design, flavour=kernel.spec.flavour,
                variant="-".join(kernel.spec.variants), version=kernel.version,
                sites_total=none.sites_total, lines_total=none.lines_total,
                branches_total=none.branches_total,
            )  # fmt: skip

    def event(self, kind: str, text: str, worker: int | None = None) -> None:
        """Note what happened; it is written with the next `write`."""
        self._events.append(self._event(kind, text, worker))

    def event_now(self, kind: str, text: str) -> None:
        """Write what is about to happen; raises OperationalError."""
        with self.state.transaction():
            self.state.insert("events", **self._event(kind, text, None))

    def _event(self, kind: str, text: str, worker: int | None) -> dict[str, object]:
        at, wall = round(self.clock.at, 3), time.time()
        return {"at": at, "wall": wall, "kind": kind, "worker": worker, "text": text}

    def saw(
        self, worker: int, kernel: str, counters: Mapping[str, int], hits: Sequence[int]
    ) -> None:
        """Note what a worker has done and reached so far; never less than was seen before."""
        _, before, reached = self._live.get(worker, (kernel, {}, []))
        counters = {name: max(n, before.get(name, 0)) for name, n in counters.items()} or before
        record = self.kernels[kernel]
        if len(hits) == len(record.map.pcs):
            record.live[worker] = reached = list(hits)
        self._live[worker] = kernel, dict(counters), reached

    def totals(self) -> Counter[str]:
        """Add up all counters of all workers."""
        total = Counter(self._ended)
        for _, counters, _ in self._live.values():
            total.update(counters)
        return total

    # ---- writing ----------------------------------------------------------------------------

    def write(self, corpus: int, workers: int) -> None:
        """Write all that is known; raises sqlite3.OperationalError, OutputLost."""
        seconds, wall, events = self.clock.run_seconds, time.time(), list(self._events)
        at = self.clock.before + seconds
        with self.state.transaction():
            self.state.update("runs", self.run, seconds=seconds)
            for worker, (kernel, counters, hits) in self._live.items():
                self.state.worker_did(worker, counters)
                if hits:
                    self.state.worker_reached(worker, kernel, hits)
            grown = {key: found for key, one in self.kernels.items() if (found := one.grown())}
            for key, found in grown.items():
                self.state.insert(
                    "coverage", at=at, wall=wall, kernel=key,
                    sites=found.sites, lines=found.lines, branches=found.branches,
                )  # fmt: skip
            for event in events:
                self.state.insert("events", **event)
            if at - self._timeline_at >= TIMELINE_EVERY:
                self._write_timeline(at, wall, corpus, workers)
        for key, found in grown.items():  # not before it is written
            self.kernels[key].sites = found.sites
        del self._events[: len(events)]
        self._write_totals(at, wall)

    def _write_timeline(self, at: float, wall: float, corpus: int, workers: int) -> None:
        totals = self.totals()
        self.state.insert(
            "timeline", at=at, wall=wall, programs=totals["programs"],
            operations=totals["operations"], corpus=corpus, findings=len(self.findings),
            workers=workers,
        )  # fmt: skip
        self._timeline_at = at

    def _write_totals(self, at: float, wall: float) -> None:
        last = self.state.rows("SELECT max(id) AS id FROM workers")[0]["id"] or 0
        content = {
            "seconds": at,
            "wall": wall,
            "last_worker": last,
            "counters": {name: n for name, n in self.totals().items() if n},
            "options": self._options,
        }
        replace_file(self.state.layout.totals, json.dumps(content).encode(), durable=False)

    def worker_ended(self, worker: int, why: str) -> None:
        """Write the last of a worker, and fold what it reached; raises OperationalError."""
        kernel, counters, hits = self._live[worker]
        with self.state.transaction():
            self.state.worker_did(worker, counters)
            if hits:
                self.state.worker_reached(worker, kernel, hits)
            self.state.fold_hits(kernel, worker)
            self.state.update("workers", worker, ended=why)
        record = self.kernels[kernel]
        if hits:
            record.live.pop(worker, None)
            record.ended = add_up([h for h in (record.ended, hits) if h])
        self._ended.update(counters)
        del self._live[worker]

    def look_for_findings(self) -> None:
        """Enter what workers have saved; raises OperationalError."""
        for row in self.findings.look(self.clock.at):
            self.event("finding", f"{row['outcome']}: {row['title']}")


def _copy_facts(kernel: Kernel, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    manifest = json.dumps(kernel.manifest, indent=1).encode()
    for name, source in (("layout.json", kernel.layout), ("zsmalloc.c", _source_of(kernel))):
        target = folder / name
        if source.is_file() and not target.exists():
            replace_file(target, source.read_bytes())
    replace_file(folder / "manifest.json", manifest, durable=False)


def _source_of(kernel: Kernel) -> Path:
    return kernel.source / "mm" / "zsmalloc.c"
