# SPDX-License-Identifier: GPL-2.0-only
"""A campaign of fake workers: the real supervisor in a process of its own, or in the test's."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from zsfuzz.campaign.options import Options
from zsfuzz.campaign.supervisor import Supervisor, ask_to_stop_on_signals
from zsfuzz.campaign.worker import NAME, LocalWorker, Order, Worker
from zsfuzz.findings.store import locked_output
from zsfuzz.spawn import WorkerProcess
from zsfuzz.workerconfig import WorkerConfig
from zstools.kernel import Kernel, KernelSpec

WORKER = Path(__file__).with_name("fake_campaign_worker.py")
SITES = 40


def fake_kernel(folder: Path, design: str = "zspage", flavour: str = "plain") -> Kernel:
    """A kernel that is only its layout: 40 sites, one line each, no branches."""
    folder.mkdir(exist_ok=True, parents=True)
    layout = folder / "layout.json"
    sites = [{"pc": i, "function": "zs_malloc", "lines": [i]} for i in range(SITES)]
    facts = {"sites": sites, "lines": list(range(SITES)), "branches": []}
    layout.write_text(json.dumps({"coverage": facts}))
    return Kernel(
        KernelSpec(design, flavour), f"key-{design}-{flavour}", "7.2", folder, folder, folder,
        folder, folder, layout, folder, {},
    )  # fmt: skip


def fake_config(order: Order, root: Path) -> WorkerConfig:
    (order.work / "inputs").mkdir(parents=True)
    return WorkerConfig(
        name=NAME, role="explore", kernel="", root="", wire="", layout="", manifest="",
        flavour="plain", memory=0, guest_cpu=None, host_cpu=None,
        inputs=str(order.work / "inputs"), output=str(root), work=str(order.work),
        seed=order.seed, seconds=order.seconds,
        findings=f"findings/{order.assignment.kernel.spec.design}",
    )  # fmt: skip


def spawner(root: Path, script: Path = WORKER):
    def spawn(order: Order) -> Worker:
        config = fake_config(order, root)
        return LocalWorker(config, WorkerProcess(config, None, (str(script),)))

    return spawn


def main(root: Path, kernels: Path, seconds: float, jobs: int) -> None:
    options = Options(jobs=jobs, slice_seconds=1.0, stall_seconds=60.0, reserve=0)
    with locked_output(root):
        supervisor = Supervisor(root, options, [fake_kernel(kernels)])
        ask_to_stop_on_signals(supervisor)
        supervisor.open()
        supervisor.run(spawner(root), seconds, lambda: None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
