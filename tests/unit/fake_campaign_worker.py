# SPDX-License-Identifier: GPL-2.0-only
"""A worker without a guest: finds a new program every few milliseconds, until it is asked to stop.

It writes what a real one writes, and tells in a journal what must never be lost.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from zsfuzz.findings.finding import Finding
from zsfuzz.findings.store import FindingStore
from zsfuzz.mutation.rawbytes import encode
from zsfuzz.outcome import Outcome
from zsfuzz.program import Op, Opcode, Program
from zsfuzz.stats import Stats
from zsfuzz.workerconfig import WorkerConfig

PAUSE = 0.002  # seconds between programs


class FakeWorker:
    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        work = Path(config.work)
        self.stats = Stats(work / f"{config.name}.stats", create=True)
        self.hits = work / f"{config.name}.hits"
        self.inputs = Path(config.inputs)
        self.store = FindingStore(Path(config.output), config.findings)
        self.random = random.Random(config.seed)
        self.journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.sites = [0] * 40
        self.stopping = False

    def run(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopping", True))
        until = time.monotonic() + (self.config.seconds or 1e9)
        while not self.stopping and time.monotonic() < until:
            self.one()
            time.sleep(PAUSE)
        self.store.close()

    def one(self) -> None:
        program = Program((Op(Opcode.MALLOC, self.random.randrange(256), 0, 1,
                              1 + self.random.randrange(4000)),))  # fmt: skip
        self.stats.program(program.wire)
        self.stats.beat()
        self.sites[self.random.randrange(len(self.sites))] += 1
        data = encode(program.canonical().wire)
        path = self.inputs / hashlib.sha1(data).hexdigest()
        path.write_bytes(data)
        self.tell("program", program.digest)
        self.tell("counts", f"{self.config.work} {self.stats['programs']}")
        if self.stats["programs"] % 16 == 0:
            self.hits.with_suffix(".part").write_text(json.dumps(self.sites))
            self.hits.with_suffix(".part").rename(self.hits)
        if self.stats["programs"] % 64 == 0:
            title = f"title {'abcdefgh'[self.random.randrange(8)]}"
            saved = self.store.save(Finding(Outcome.DIVERGENCE, title, program.canonical()))
            self.tell("finding", saved.id)

    def tell(self, kind: str, text: str) -> None:
        os.write(self.journal, f"{kind} {text}\n".encode())


if __name__ == "__main__":
    FakeWorker(WorkerConfig.load(Path(sys.argv[1]))).run()
