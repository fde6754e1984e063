# SPDX-License-Identifier: GPL-2.0-only
"""User Mode Linux guests that run programs: start one, and find its ring."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import tempfile
import time
from pathlib import Path

from zsfuzz.console.complaints import find_splats
from zsfuzz.console.demise import blames_kernel
from zsfuzz.errors import BootFailed, HarnessError
from zsfuzz.guest.process import UmlProcess
from zsfuzz.guest.ring import RingPlace

# What a kernel that never gets ready is given, in seconds; it takes 0.1 to 0.5.
START_LIMIT = 30.0
_TELLING = ("zsfuzz: ", "zsfuzz-agent: ", "No space")  # in lines that say why it did not start


class Uml(UmlProcess):
    """One kernel that boots and loads the module; others may be started meanwhile."""

    def ready(self) -> RingPlace:
        """Wait until it has booted, and tell where its ring is; no guest, and an error, else.

        BootFailed if the kernel itself complained, HarnessError otherwise.  To be called once.
        """
        try:
            return self._find_ring(self._wait_until_ready())
        except BaseException:
            self.kill()
            raise

    def _wait_until_ready(self) -> dict[str, str]:
        told = b""
        deadline = time.monotonic() + START_LIMIT
        while not told.endswith(b"ready\n"):
            if time.monotonic() > deadline:
                raise self._not_ready(f"the guest was not ready after {START_LIMIT} s")
            if select.select([self.line], [], [], 0.05)[0]:
                more = self.line.recv(4096)
                told += more
                if more:
                    continue
            if not self.alive:
                raise self._not_ready("the guest ended before it was ready")
        if find_splats(self.console_text()):
            raise self._not_ready("the kernel complained while it booted")
        words = told.decode().split()
        return dict(zip(words[0:-1:2], words[1:-1:2], strict=True))

    def _not_ready(self, reason: str) -> BootFailed | HarnessError:
        console = self.console_text()
        splats = find_splats(console)
        if splats:
            reason = f"{reason}: {splats[0].title}"
        if blames_kernel(splats) and not self.killed:
            return BootFailed(reason, console)
        lines = console.splitlines()
        said = [line for line in lines if any(word in line for word in _TELLING)] or lines[-5:]
        whole = _kept(self.console)
        return HarnessError(
            f"{reason}; its console ends: {' / '.join(said[-5:])} (all of it: {whole})"
        )

    def _find_ring(self, facts: dict[str, str]) -> RingPlace:
        """Open the guest's memory: offsets in that file are guest-physical addresses."""
        fds = Path(f"/proc/{self.pid}/fd")
        for entry in fds.iterdir():
            with contextlib.suppress(OSError):
                target = str(entry.readlink())
                if target.endswith("(deleted)") and "memfd:" not in target:
                    fd = os.open(entry, os.O_RDWR | os.O_CLOEXEC)
                    return RingPlace(fd, int(facts["ring_physical"], 0), int(facts["ring_bytes"]))
        raise HarnessError(f"no memory file among the descriptors in {fds}: is this kernel UML?")


def _kept(console: Path) -> Path:
    """Name a console that stays: those in a temporary folder of ours are about to be deleted."""
    scratch = Path(tempfile.gettempdir())
    if not any(folder.parent == scratch and folder.name.startswith("zsfuzz-")
               for folder in console.absolute().parents):  # fmt: skip
        return console
    kept = scratch / f"zsfuzz-console-{os.getpid()}.log"
    try:
        shutil.copyfile(console, kept)
    except OSError:
        return console
    return kept
