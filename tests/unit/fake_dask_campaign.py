# SPDX-License-Identifier: GPL-2.0-only
"""A campaign of fake workers that are tasks of a Dask scheduler."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from fake_campaign import fake_kernel, spawner

from zsfuzz.campaign.distributed import connect
from zsfuzz.campaign.distributed.task import TaskOrder
from zsfuzz.campaign.options import Options
from zsfuzz.campaign.schedule import Assignment
from zsfuzz.campaign.session import Session
from zsfuzz.campaign.supervisor import Supervisor, ask_to_stop_on_signals
from zsfuzz.campaign.worker import Order, Spawn
from zsfuzz.findings.store import locked_output


def make_task(order: TaskOrder, root: Path) -> tuple[Spawn, Order]:
    """Stands for zsfuzz.campaign.distributed.task.local_explorer."""
    kernel = fake_kernel(root / "kernel")
    local = Order(order.worker, 0, Assignment(kernel, order.faults), root / "work", root / "pool",
                  order.seed, order.seconds, order.max_operations)  # fmt: skip
    return spawner(root), local


def main(root: Path, kernels: Path, address: str, exchange: str, jobs: int) -> None:
    options = Options(
        jobs=jobs, slice_seconds=3600, stall_seconds=120.0, reserve=0, scheduler=address,
        exchange=exchange,
    )  # fmt: skip
    session = Session(root, options, (fake_kernel(kernels),))
    named = import_module("fake_dask_campaign")  # by this name the tasks find make_task

    with locked_output(root), connect(session, named.make_task) as spawn:
        supervisor = Supervisor(root, options, session.kernels)
        ask_to_stop_on_signals(supervisor)
        supervisor.open()
        supervisor.run(spawn, None, lambda: None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]))
