# SPDX-License-Identifier: GPL-2.0-only
"""What a worker process is told, and how it boots its guest."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from zsfuzz.boot import MEMORY
from zsfuzz.guest.abi import read_abi
from zsfuzz.guest.machine import Machine
from zsfuzz.guest.process import UmlOptions
from zsfuzz.manifest import finding_manifest
from zsfuzz.mutation.rawbytes import DEFAULT_LIMIT
from zsfuzz.strategy import Strategy
from zstools.kernel import Kernel


@dataclass(frozen=True)
class WorkerConfig:
    """All that a worker needs to know; written by the supervisor, read back as JSON."""

    name: str
    role: str  # "explore", "check" or "replay"
    kernel: str
    root: str
    wire: str
    layout: str
    manifest: str
    flavour: str
    memory: int
    guest_cpu: int | None
    host_cpu: int | None
    inputs: str
    output: str
    work: str
    seed: int = 1
    seconds: float | None = None
    operations: int | None = None
    max_operations: int = DEFAULT_LIMIT
    strategy: str = Strategy.FULL.value
    others: tuple[WorkerConfig, ...] = ()  # guests of other flavours, to try findings on
    times: int = 1  # that a replay runs each program
    guest_nice: int = 0
    profile: str = ""
    findings: str = "findings"  # folder of findings in `output`
    pool: str = ""  # file of programs that others found, see pool.py; empty: there is none
    faults: str = "usual"  # "many": more allocations fail

    def save(self, path: Path) -> None:
        """Write the configuration for a worker to come."""
        path.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, path: Path) -> WorkerConfig:
        """Read back what `save` wrote."""
        facts = json.loads(path.read_text())
        others = tuple(cls(**other) for other in facts.pop("others"))
        return cls(**facts, others=others)


def worker_config(
    kernel: Kernel, *, name: str, role: str, work: Path, output: Path
) -> WorkerConfig:
    """Describe a worker for a built kernel; an explorer gets two CPUs if there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    spread = len(cpus) > 1 and role == "explore"
    manifest = work / f"{name}.manifest"
    manifest.write_text(json.dumps(finding_manifest(kernel)))
    return WorkerConfig(
        name=name,
        role=role,
        kernel=str(kernel.linux),
        root=str(kernel.guest_root),
        wire=str(kernel.wire),
        layout=str(kernel.layout),
        manifest=str(manifest),
        flavour=kernel.spec.flavour,
        memory=MEMORY[kernel.spec.flavour],
        guest_cpu=cpus[-1] if spread else None,
        host_cpu=cpus[0] if spread else None,
        inputs=str(work / "inputs"),
        output=str(output),
        work=str(work),
        profile=kernel.spec.profile or "",
    )


def start_machine(config: WorkerConfig, *, console: str) -> Machine:
    """Boot the configured kernel; BootFailed or HarnessError as `boot`."""
    options = UmlOptions(
        Path(config.kernel),
        Path(config.root),
        memory=config.memory,
        cpu=config.guest_cpu,
        nice=config.guest_nice,
    )
    console_file = Path(config.work) / console
    return Machine(options, read_abi(Path(config.wire)), console_file, profile=config.profile)
