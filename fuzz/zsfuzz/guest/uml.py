# SPDX-License-Identifier: GPL-2.0-only
"""User Mode Linux guests: start one, find its ring, and leave no process behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.errors import HarnessError
from zsfuzz.guest.ring import RingPlace
from zsfuzz.lifeline import die_with

# What a kernel that never gets ready is given, in seconds; it takes 0.1 to 0.5.
START_LIMIT = 30.0
_TELLING = ("zsfuzz: ", "zsfuzz-agent: ", "No space")  # in lines that say why it did not start
SHM = "/dev/shm"  # noqa: S108 - where UML keeps its memory


@dataclass(frozen=True)
class UmlOptions:
    """What to start: the kernel, the folder that becomes its root, memory in MiB, a host CPU."""

    kernel: Path
    root: Path
    memory: int = 128
    cpu: int | None = None


class Uml:
    """One running kernel.  Its console goes to `console`, whole, from the first line."""

    def __init__(self, options: UmlOptions, console: Path) -> None:
        self.console = console
        _check_space(options.memory)
        # Open as long as the guest lives: UML sleeps in its interrupt handler when a line hangs up.
        self._control, theirs = socket.socketpair()
        # Beside the console: who is killed leaves it there, and what owns that folder removes it.
        self._scratch = tempfile.TemporaryDirectory(prefix="uml-", dir=console.parent.absolute())
        try:
            self._process = self._spawn(options, theirs.fileno())
            theirs.close()
            facts = self._wait_until_ready(self._control)
            self.place = self._find_ring(facts)
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
            f"rootflags={options.root}",
            "ro",
            "init=/init",
            "seccomp=on",
            "con=null",
            "con0=null,fd:1",
            "ssl=null",
            f"ssl0=fd:{control},fd:{control}",
            f"uml_dir={self._scratch.name}/",
        ]
        parent = os.getpid()
        with self.console.open("wb") as log:
            try:
                return subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[control],
                    cwd="/", start_new_session=True, env=_environment(),
                    preexec_fn=lambda: _in_child(parent, options.cpu),  # noqa: PLW1509 - one thread
                )  # fmt: skip
            except OSError as error:
                reason = (error.strerror or type(error).__name__).lower()
                raise HarnessError(
                    f"{options.kernel} cannot be started: {reason}: run `zsfuzz kernel build`"
                ) from error

    def _wait_until_ready(self, control: socket.socket) -> dict[str, str]:
        told = b""
        deadline = time.monotonic() + START_LIMIT
        while not told.endswith(b"ready\n"):
            if time.monotonic() > deadline:
                raise HarnessError(self._explain(f"the guest was not ready after {START_LIMIT} s"))
            if select.select([control], [], [], 0.05)[0]:
                more = control.recv(4096)
                told += more
                if more:
                    continue
            if self._process.poll() is not None:
                raise HarnessError(self._explain("the guest ended before it was ready"))
        words = told.decode().split()
        return dict(zip(words[0:-1:2], words[1:-1:2], strict=True))

    def _explain(self, reason: str) -> str:
        lines = self.console_text().splitlines()
        said = [line for line in lines if any(word in line for word in _TELLING)] or lines[-5:]
        return f"{reason}; its console ends: {' / '.join(said[-5:])} (all of it: {self.console})"

    def _find_ring(self, facts: dict[str, str]) -> RingPlace:
        """Open the guest's memory: offsets in that file are guest-physical addresses."""
        fds = Path(f"/proc/{self._process.pid}/fd")
        for entry in fds.iterdir():
            with contextlib.suppress(OSError):
                target = str(entry.readlink())
                if target.endswith("(deleted)") and "memfd:" not in target:
                    fd = os.open(entry, os.O_RDWR | os.O_CLOEXEC)
                    return RingPlace(fd, int(facts["ring_physical"], 0), int(facts["ring_bytes"]))
        raise HarnessError(f"no memory file among the descriptors in {fds}: is this kernel UML?")

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
    def exit_status(self) -> str:
        """Say in words how the process ended."""
        code = self._process.poll()
        if code is None:
            return "still running"
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
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
        self._control.close()
        self._scratch.cleanup()


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


def _in_child(parent: int, cpu: int | None) -> None:
    die_with(parent)
    if cpu is not None:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {cpu})
