# SPDX-License-Identifier: GPL-2.0-only
"""What tests with a guest share: built kernels, machines, random programs, ends of processes."""

from __future__ import annotations

import functools
import os
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zsfuzz.boot import MEMORY
from zsfuzz.corpusfile import load_dir
from zsfuzz.guest.abi import read_abi
from zsfuzz.guest.machine import Machine
from zsfuzz.guest.process import UmlOptions
from zsfuzz.runner import Runner
from zsmodel import Model
from zstools.errors import SourceError, ToolMissingError
from zstools.kernel import Kernel, KernelSpec, ensure_kernel
from zstools.paths import begin_dirs

ROOT = Path(__file__).parents[2]
SEEDS = [entry for folder in begin_dirs() for entry in load_dir(folder)[0]]
PATIENCE = 240  # seconds until something that never ends counts as wrong


@functools.cache
def built(design: str, flavour: str, *patches: Path) -> Kernel:
    """A kernel from the cache, built if it is not there."""
    try:
        return ensure_kernel(KernelSpec(design, flavour, None, patches))
    except (SourceError, ToolMissingError) as error:
        pytest.skip(f"no kernel {design} {flavour}; make one by `zsfuzz kernel build`: {error}")


def machine_of(kernel: Kernel, console: Path, **options: float) -> Machine:
    """Boot a guest like zsfuzz.boot.boot(), with other options of Machine."""
    memory = MEMORY[kernel.spec.flavour]
    uml = UmlOptions(kernel.linux, kernel.guest_root, memory=memory)
    return Machine(uml, read_abi(kernel.wire), console, **options)


def runner_of(machine: Machine) -> Runner:
    return Runner(machine, Model(machine.kernel))


class Runners:
    """One guest for each kernel, with a model beside it, shared by all tests of a session."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runners: dict[tuple[str, str], Runner] = {}

    def __call__(self, design: str, flavour: str) -> Runner:
        key = (design, flavour)
        if key not in self._runners:
            console = self._folder / f"{design}-{flavour}.console"
            self._runners[key] = runner_of(machine_of(built(*key), console))
        return self._runners[key]

    def close(self) -> None:
        for runner in self._runners.values():
            runner.target.close()


# ---- processes ---------------------------------------------------------------------------------


def zsfuzz(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        command(*arguments), cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def command(*arguments: object) -> list[str]:
    """How to start the command line in a process of its own."""
    return [sys.executable, "-m", "zsfuzz.cli", *map(str, arguments)]


def environment() -> dict[str, str]:
    """What a Python process needs to import this file, and what its parent does."""
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def stat_of(pid: int) -> list[str]:
    """State, parent, process group and session of a process, from /proc/<pid>/stat."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def processes() -> dict[int, list[str]]:
    """All processes that have not ended, with what stat_of() tells of them."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = stat_of(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
            if stat[0] not in "ZX":
                found[int(entry.name)] = stat
    return found


def session_of(pid: int) -> dict[int, str]:
    """The processes of a guest with their names; all are in the session of its kernel."""
    found = {}
    for other, stat in processes().items():
        if int(stat[3]) == pid:
            found[other] = Path(f"/proc/{other}/comm").read_text().strip()
    return found


def descendants(pid: int) -> set[int]:
    """All processes that `pid` started, and that those started."""
    parents = {other: int(stat[1]) for other, stat in processes().items()}
    found, frontier = set(), {pid}
    while frontier:
        frontier = {other for other, parent in parents.items() if parent in frontier}
        found |= frontier
    return found


@contextmanager
def watched(pids: Iterable[int]) -> Iterator[Watch]:
    """Watch processes, so that their ends can be waited for however they come."""
    watch = Watch(pids)
    try:
        yield watch
    finally:
        watch.close()


class Watch:
    """Open descriptors of processes: what they stand for cannot become another process."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._fds = {os.pidfd_open(pid): pid for pid in pids}

    def wait(self) -> set[int]:
        """Wait until all have ended; returns those that have not."""
        poll = select.poll()
        for fd in self._fds:
            poll.register(fd, select.POLLIN)
        left = dict(self._fds)
        while left:
            ended = poll.poll(PATIENCE * 1000)
            if not ended:
                break
            for fd, _ in ended:
                poll.unregister(fd)
                del left[fd]
        return set(left.values())

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)


def visible_files(pid: int) -> set[str]:
    """Open files of a process on /dev/shm that have a name, and so would outlive it."""
    targets = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    on_shm = {target for target in targets if target.startswith("/dev/shm/")}
    assert on_shm
    return {target for target in on_shm if not target.endswith(" (deleted)")}
