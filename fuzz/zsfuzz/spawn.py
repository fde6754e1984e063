# SPDX-License-Identifier: GPL-2.0-only
"""Start worker processes that cannot outlive the one that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from zsfuzz.errors import BootFailed, HarnessError, ZsfuzzError
from zsfuzz.lifeline import die_with
from zsfuzz.stats import read_stats
from zsfuzz.workerconfig import WorkerConfig
from zstools.fastmodules import ensure_fast_modules

EXIT_BOOT_FAILED = 3  # of a worker whose kernel complained before the first program


class WorkerProcess:
    """A worker that was started; its own words go to `log`."""

    def __init__(
        self,
        config: WorkerConfig,
        fast_modules: Path | None,
        entry: Sequence[str] = ("-m", "zsfuzz.worker"),
    ) -> None:
        self.config = config
        work = Path(config.work)
        self.log = work / f"{config.name}.log"
        self._stats_path = work / f"{config.name}.stats"
        path = work / f"{config.name}.json"
        config.save(path)
        self._stats_path.unlink(missing_ok=True)
        parent = os.getpid()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *entry, str(path)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=worker_environment(fast_modules),
                preexec_fn=lambda: _in_child(parent, config.host_cpu),  # noqa: PLW1509 - one thread
            )  # fmt: skip

    @property
    def stats(self) -> dict[str, int]:
        """Read the worker's counters; empty until it has started."""
        return read_stats(self._stats_path)

    def ask_to_stop(self) -> None:
        """Let the worker finish what it is doing."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> int | None:
        """Wait for the end; None if it is still running, which kill() would change."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End the worker; its guest ends with it."""
        self.process.kill()
        self.process.wait()

    def failure(self, code: int) -> ZsfuzzError:
        """Say what an exit code that is not 0 means: whether it was the kernel, or we."""
        words = self.last_words()
        if code == EXIT_BOOT_FAILED:
            return BootFailed(words, "")
        return HarnessError(
            f"worker {self.config.name} ended with {code} (log: {self.log}):\n{words}"
        )

    def last_words(self) -> str:
        """Give the end of the worker's log."""
        return last_lines(self.log, 15)


def _in_child(parent: int, cpu: int | None) -> None:
    die_with(parent)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})


def run_worker(
    what: str, arguments: Sequence[str], log: Path, result: Path | None = None,
    seconds: float | None = None,
) -> None:  # fmt: skip
    """Run `python -m` with arguments to its end, with compiled modules if there are any.

    HarnessError with the end of `log` if that takes too long, or does not end in order with a
    `result`.
    """
    with log.open("wb") as file:
        try:
            done = subprocess.run(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=seconds, check=False,
                env=worker_environment(ensure_fast_modules()),
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise HarnessError(f"{what} did not end:\n{last_lines(log, 30)}") from error
    if done.returncode or (result is not None and not result.exists()):
        raise HarnessError(f"{what} ended with {done.returncode}:\n{last_lines(log, 90)}")


def last_lines(log: Path, count: int) -> str:
    """Give the end of a log."""
    return "\n".join(log.read_text(errors="replace").strip().splitlines()[-count:])


def worker_environment(fast_modules: Path | None) -> dict[str, str]:
    """Give the environment of a worker, in which compiled modules come before plain ones."""
    if fast_modules is None:
        return dict(os.environ)
    paths = [str(fast_modules), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
