# SPDX-License-Identifier: GPL-2.0-only
"""Run a reproducer in C as a guest's init, and say how it ended."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.boot import guest_cpu
from zsfuzz.console.complaints import HOST, find_splats
from zsfuzz.corpusfile import Entry
from zsfuzz.errors import HarnessError
from zsfuzz.guest.process import UmlOptions, UmlProcess
from zsfuzz.repro.cli import render
from zstools.kernel import Kernel

MEMORY = {"plain": 128, "kasan": 320, "lockdep": 512}  # MiB
LIMIT = 120.0  # seconds
OPTIONS = ("-O2", "-Wall", "-Wextra", "-Werror", "-static")
_DIFFERENCE = re.compile(r"^reproducer: (.+): (.+): expected .+, the kernel says .+$", re.M)
_EXIT = re.compile(r"^reproducer: exit (\d)$", re.M)


@dataclass(frozen=True)
class Attempt:
    """How a reproducer ended: exit code (None: the guest ended first), and the whole console."""

    code: int | None
    console: str
    hung: bool = False  # it did not end in LIMIT seconds

    @property
    def passes(self) -> bool:
        """Tell whether all was as expected."""
        return self.code == 0 and not self.hung

    @property
    def fails(self) -> bool:
        """Tell whether it shows a bug: something differs, or the guest died or hung.

        One that could not be tried, or died without a word, is neither.
        """
        splats = find_splats(self.console)
        if any(splat.kind == HOST for splat in splats):
            return False
        return self.hung or self.code == 1 or (self.code is None and bool(splats))

    @property
    def told(self) -> str:
        """Say in a line what was seen first, and what the guest died of."""
        difference = _DIFFERENCE.search(self.console)
        words = [difference[0].removeprefix("reproducer: ")] if difference else []
        splats = find_splats(self.console)
        if splats:
            words.append(f"console: {splats[0].title}")
        if self.hung:
            words.append(f"the guest had not ended after {LIMIT:g} s")
        elif self.code is None:
            words.append("the guest died")
        elif self.code == 2:
            words.append(_last_line(self.console))
        return "; ".join(words) or "all as expected"


def _last_line(console: str) -> str:
    lines = re.findall(r"^reproducer: (cannot .+)$", console, re.M)
    return lines[-1] if lines else "could not be tried"


def compile_c(source: Path, target: Path) -> None:
    """Compile without a warning; HarnessError with the compiler's words."""
    done = subprocess.run(
        ["gcc", *OPTIONS, source, "-o", target], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise HarnessError(f"gcc does not compile {source}: {done.stderr.strip()}")


def attempt(kernel: Kernel, entry: Entry, folder: Path) -> Attempt:
    """Write, compile and run the reproducer of a program; all files go into a new folder."""
    folder.mkdir(parents=True)
    source, root = folder / "reproducer.c", folder / "root"
    source.write_text(render(entry, "c", kernel.spec.design))
    shutil.copytree(kernel.guest_root, root)
    compile_c(source, root / "init")
    return run_root(kernel, root, folder)


def run_root(kernel: Kernel, root: Path, folder: Path) -> Attempt:
    """Boot a folder whose init is a reproducer, until the guest ends or LIMIT is over."""
    options = UmlOptions(kernel.linux, root.resolve(), MEMORY[kernel.spec.flavour], guest_cpu())
    guest = UmlProcess(options, folder / "console")
    until = time.monotonic() + LIMIT
    try:
        while guest.alive and time.monotonic() < until:
            time.sleep(0.02)
        hung = guest.alive
        console = guest.console_text().replace("\r", "")
    finally:
        guest.kill()
    found = _EXIT.search(console)
    return Attempt(int(found[1]) if found else None, console, hung)
