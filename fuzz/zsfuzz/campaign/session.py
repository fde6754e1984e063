# SPDX-License-Identifier: GPL-2.0-only
"""One `campaign start`: the supervisor with its workers, its screen and its metrics."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from zsfuzz.campaign.metrics import Endpoint
from zsfuzz.campaign.options import Options
from zsfuzz.campaign.status import Status, read_status, status_of
from zsfuzz.campaign.supervisor import Supervisor, ask_to_stop_on_signals
from zsfuzz.campaign.view import Screen
from zsfuzz.campaign.worker import LocalSpawn, Spawn, pairs_of_cpus
from zstools.fastmodules import ensure_fast_modules
from zstools.kernel import Kernel


@dataclass(frozen=True)
class Session:
    """What one start is asked to do; `seconds` of None: until it is stopped."""

    root: Path
    options: Options
    kernels: tuple[Kernel, ...]
    seconds: float | None = None


def run_session(session: Session, prometheus: int | None, console: Console) -> Status:
    """Run to the end; the caller holds the directory's lock.  Returns the last status."""
    latest: Status = {}
    with ExitStack() as stack:
        wait: Callable[[float], None] = time.sleep
        if prometheus is not None:
            endpoint = Endpoint(prometheus, lambda: latest)
            stack.callback(endpoint.close)
            console.print(f"metrics: http://127.0.0.1:{endpoint.port}/metrics", highlight=False)
            wait = endpoint.wait
        supervisor = Supervisor(session.root, session.options, session.kernels, wait)
        ask_to_stop_on_signals(supervisor)
        spawn = _spawn(session, stack)
        supervisor.open()  # from now on time is counted
        screen = stack.enter_context(Screen(console))

        def show() -> None:
            latest.update(
                status_of(supervisor.state, supervisor.recorder.totals())
                | {"corpus": len(supervisor.store), "state": "running"}
            )
            screen.show(latest, supervisor.state, supervisor.troubles.lines())

        supervisor.run(spawn, session.seconds, show)
    return read_status(session.root)


def _spawn(session: Session, stack: ExitStack) -> Spawn:
    if session.options.scheduler is not None:
        from zsfuzz.campaign.distributed import connect  # noqa: PLC0415 - an extra

        return stack.enter_context(connect(session))
    cpus = sorted(os.sched_getaffinity(0))
    return LocalSpawn(
        session.root,
        session.kernels,
        ensure_fast_modules(),
        pairs_of_cpus(cpus, session.options.jobs),
    )
