# SPDX-License-Identifier: GPL-2.0-only
"""An explorer that looks at gcov's counters after given times, in a process of its own."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from zsfuzz.explorer import Explorer
from zsfuzz.reached.counters import CounterReader
from zsfuzz.workerconfig import WorkerConfig


class CountingExplorer(Explorer):
    """Writes `reached-N.json` after the N-th time, in seconds; a 0 is before the first program."""

    def __init__(self, config: WorkerConfig, reader: CounterReader, times: list[float]) -> None:
        super().__init__(config)
        self.reader = reader
        self.due = list(enumerate(sorted(times)))
        self._count()

    def _look_at_the_clock(self) -> None:
        self._count()
        super()._look_at_the_clock()

    def _count(self) -> None:
        seconds = time.monotonic() - self.started
        while self.due and self.due[0][1] <= seconds:
            number, _ = self.due.pop(0)
            facts = {
                "seconds": seconds,
                "programs": self.stats["programs"],
                "operations": self.stats["operations"],
                "restarts": self.machine.starts - 1,
                "profiles": [asdict(one) for one in self.reader.read(self.machine.pid)],
            }
            path = Path(self.config.work) / f"reached-{number}.json"
            path.write_text(json.dumps(facts))
        self.stopping = self.stopping or not self.due


def main() -> None:
    """Explore as the first JSON file says, and count at the times that the second one holds."""
    config = WorkerConfig.load(Path(sys.argv[1]))
    times = json.loads(Path(sys.argv[2]).read_text())
    CountingExplorer(config, CounterReader(Path(config.kernel)), times).run()


if __name__ == "__main__":
    main()
