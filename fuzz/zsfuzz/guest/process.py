# SPDX-License-Identifier: GPL-2.0-only
"""Processes of User Mode Linux: start one with a serial line to it, and leave none behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.errors import HarnessError
from zsfuzz.guest.confine import Needs, confiner
from zsfuzz.lifeline import die_with

SHM = "/dev/shm"  # noqa: S108 - where UML keeps its memory


@dataclass(frozen=True)
class UmlOptions:
    """What to start: the kernel, the folder that becomes its root, memory in MiB, a host CPU.

    `arguments` go to the end of the kernel's command line; what follows "--" is init's.
    With `nice` it leaves the CPU to others.  `disk` is a file that the guest may write.
    """

    kernel: Path
    root: Path
    memory: int = 128
    cpu: int | None = None
    arguments: tuple[str, ...] = ()
    nice: int = 0
    disk: Path | None = None


class UmlProcess:
    """One running kernel.  Its console goes to `console`, whole, from the first line."""

    def __init__(self, options: UmlOptions, console: Path) -> None:
        self.console = console
        _check_space(options.memory)
        # Open as long as the guest lives: UML sleeps in its interrupt handler when a line hangs up.
        self.line, theirs = socket.socketpair()
        # Beside the console: who is killed leaves it there, and what owns that folder removes it.
        self._scratch = tempfile.TemporaryDirectory(prefix="uml-", dir=console.parent.absolute())
        try:
            self._process = self._spawn(options, theirs.fileno())
        except BaseException:
            self.kill()
            raise
        finally:
            theirs.close()

    def _spawn(self, options: UmlOptions, control: int) -> subprocess.Popen[bytes]:
        command = [
            str(options.kernel),
            f"mem={options.memory}M",
            "rootfstype=hostfs",
            f"hostfs={options.root}",  # all that hostfs shows, whoever mounts it
            "rootflags=/",
            "ro",
            "init=/init",
            "seccomp=on",
            "con=null",
            "con0=null,fd:1",
            "ssl=null",
            f"ssl0=fd:{control},fd:{control}",
            f"uml_dir={self._scratch.name}/",
            *options.arguments,
        ]
        parent = os.getpid()
        confine, close = confiner(self._needs(options))

        def in_child() -> None:
            _in_child(options)
            confine()
            die_with(parent)  # last: a change of rights would undo it

        with self.console.open("wb") as log:
            try:
                return subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[control],
                    cwd="/", start_new_session=True, env=_environment(),
                    preexec_fn=in_child,  # noqa: PLW1509 - one thread
                )  # fmt: skip
            except OSError as error:
                reason = (error.strerror or type(error).__name__).lower()
                raise HarnessError(
                    f"{options.kernel} cannot be started: {reason}: run `zsfuzz kernel build`"
                ) from error
            finally:
                close()

    def _needs(self, options: UmlOptions) -> Needs:
        return Needs(
            kernel=options.kernel,
            root=options.root,
            scratch=Path(self._scratch.name),
            memory=Path(SHM),
            memory_bytes=options.memory << 20,
            disk=options.disk,
        )

    def stay_on(self, cpu: int | None) -> None:
        """Move it to a host CPU, with all the processes that it made so far."""
        if cpu is None:
            return
        for task in _tasks(self.pid):
            with contextlib.suppress(OSError):
                os.sched_setaffinity(task, {cpu})

    # ---- watching and ending ----------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Name the kernel's process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Tell whether the kernel's process still runs."""
        return self._process.poll() is None

    @property
    def starved(self) -> float:
        """Tell how many seconds the kernel's process has waited for a CPU; 0 if nobody counts."""
        try:
            return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0

    @property
    def killed(self) -> bool:
        """Tell whether it was ended by SIGKILL: never by itself, it dies of SIGABRT or SIGSEGV."""
        return self._process.poll() == -signal.SIGKILL

    @property
    def exit_status(self) -> str:
        """Say in words how the process ended."""
        code = self._process.poll()
        if code is None:
            return "still running"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"exited with {code}"

    def console_text(self) -> str:
        """Read the console so far."""
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def kill(self) -> None:
        """End the kernel and all processes that it made; safe to call twice."""
        process = getattr(self, "_process", None)
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.line.close()
        self._scratch.cleanup()


def _tasks(pid: int) -> Iterator[int]:
    """Go over a process's threads, and those of its children."""
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield int(task.name)
            for child in (task / "children").read_text().split():
                yield from _tasks(int(child))


def _check_space(memory: int) -> None:
    """Refuse to start a guest whose memory does not fit: it would die of SIGBUS in mid-program."""
    try:
        shm = os.statvfs(SHM)
    except OSError:
        return  # UML finds another place
    free = shm.f_bavail * shm.f_frsize >> 20
    if free < memory:
        raise HarnessError(
            f"{SHM} has {free} MiB free, but the guest's memory takes {memory} MiB: "
            "delete files there, or mount it larger"
        )


def _environment() -> dict[str, str]:
    # UML puts its memory into $TMPDIR if that is set; /dev/shm is where it is shared cheaply.
    keep = ("PATH", "HOME")
    return {name: os.environ[name] for name in keep if name in os.environ}


def _in_child(options: UmlOptions) -> None:
    os.nice(options.nice)
    if options.cpu is not None:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {options.cpu})
