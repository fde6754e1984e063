# SPDX-License-Identifier: GPL-2.0-only
"""Make the console logs beside this folder again, from real kernels with a fault put in.

    python tests/snapshots/console/provoke/provoke.py [--heads] [NAME...]

Each log keeps what the guest's console said from the module's loading on.  Titles in the heads are
those that the present code gives: read the difference in git before it is committed.  --heads
boots nothing, and writes the heads of the logs that there are again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zsfuzz.boot import boot
from zsfuzz.console.complaints import find_splats
from zsfuzz.errors import GuestHang, GuestLost, KernelSplat
from zsfuzz.guest.machine import Machine
from zsfuzz.planted import planted_patch
from zsfuzz.text import parse_program
from zstools.kernel import Kernel, KernelSpec, ensure_kernel

HERE = Path(__file__).parent
LOGS = HERE.parent
FAULTS = HERE / "faults.patch"
LEAK_AGE = 5.5  # seconds after which kmemleak speaks of a leak
SHM = Path("/dev/shm")
INSIDE = "ZSFUZZ_PROVOKE_INSIDE"  # a mount namespace with a small /dev/shm, which takes root
BEGIN = "zsfuzz: loading out-of-tree module"


@dataclass(frozen=True)
class Case:
    """How a log is made: a kernel, and a program on it; `size` picks one of the faults."""

    flavour: str
    size: int = 0
    program: str = "o0 = malloc(p1, size={size})"
    audit: bool = False  # remove all cgroups besides, and look for leaks
    variants: tuple[str, ...] = ()
    planted: str = ""  # a bug of tools/planted/zpdesc instead of the faults
    wait: float = 0.0  # seconds between program and audit
    fills_host: bool = False  # take all of /dev/shm before the program runs

    @property
    def text(self) -> str:
        """The program."""
        return self.program.format(size=self.size)


MANY = "".join(f"o{n} = malloc(p0, size=4000, owner=c1)\n" for n in range(256))
TWO = "".join(f"o{n} = malloc(p0, size=2712, owner=c{n + 1})\n" for n in range(2))
CASES = {
    "warn": Case("plain", 1),
    "warn-with-text": Case("plain", 2),
    "vm-warn": Case("kasan", 3),
    "bug": Case("plain", 4),
    "vm-bug": Case("kasan", 5),
    "vm-bug-page": Case("kasan", 6),
    "panic": Case("plain", 7),
    "null-pointer": Case("plain", 8),
    "null-pointer-kasan": Case("kasan", 8),
    "list-poison": Case("plain", 9),
    "list-poison-kasan": Case("kasan", 9),
    "null-call": Case("plain", 10),
    "user-pointer": Case("plain", 11),
    "divide-by-zero": Case("plain", 12),
    "fault-in-worker": Case("plain", 13),
    "silent-death": Case("plain", 14),
    "silent-hang": Case("plain", 15),
    "init-killed": Case("plain", 16),
    "out-of-memory": Case("plain", 17),
    "kasan-use-after-free": Case("kasan", 18),
    "kasan-out-of-bounds": Case("kasan", 19),
    "kasan-double-free": Case("kasan", 20),
    "list-add": Case("kasan", 21),
    "list-del": Case("kasan", 22),
    "refcount": Case("plain", 23),
    "bad-page": Case("kasan", 24),
    "sleeping": Case("lockdep", 25),
    "scheduling": Case("lockdep", 26),
    "lockdep-circular": Case("lockdep", 27),
    "lockdep-recursive": Case("lockdep", 28),
    "lockdep-unlock": Case("lockdep", 29),
    "lockdep-rcu": Case("lockdep", 30),
    "lockdep-freed": Case("lockdep", 31),
    "lockdep-softirq": Case("lockdep", 33),
    "slab-double-free": Case("lockdep", 20),
    "debug-objects": Case("lockdep", 34),
    "kmemleak": Case("lockdep", 35, audit=True, wait=LEAK_AGE),
    "hung-task": Case("plain", 36, variants=("watchdogs",)),
    "ubsan": Case("plain", 37, variants=("watchdogs",)),
    "pool-not-empty": Case(
        "plain", 38, "p2 = pool_create()\no0 = malloc(p2, size={size})\nfree(o0)\npool_destroy(p2)"
    ),
    "hung-task-on-mutex": Case("plain", 39, variants=("watchdogs",)),
    "host-memory": Case("plain", program=MANY, fills_host=True),
    "migration-loses-array": Case(
        "plain", program=TWO + "migrate(o1, page=1)\nfree(o1)", planted="migration-loses-array"
    ),
    "migration-keeps-old-array": Case(
        "plain", program=TWO + "migrate(o1, page=1)", planted="migration-keeps-old-array"
    ),
}


def kernel_of(case: Case) -> Kernel:
    """Build the kernel that a log is made with."""
    if case.planted:
        patch = planted_patch("zpdesc", case.planted)
        return ensure_kernel(KernelSpec("zpdesc", case.flavour, None, (patch,)))
    return ensure_kernel(KernelSpec("zspage", case.flavour, None, (FAULTS,), case.variants))


def console_of(case: Case) -> str:
    """Boot, provoke, and read what the console says."""
    with tempfile.TemporaryDirectory(prefix="zsfuzz-provoke-") as work:
        machine = boot(kernel_of(case), Path(work) / "console")
        try:
            provoke(machine, case)
        except (GuestLost, GuestHang, KernelSplat) as error:
            return error.console
        finally:
            machine.close()
        return machine.console()


def provoke(machine: Machine, case: Case) -> None:
    """Run the program, and what else the case asks for."""
    if case.fills_host:
        fill_shm()
    try:
        machine.run(parse_program(case.text).wire)
    except KernelSplat:
        if not case.audit:
            raise
    if case.audit:
        time.sleep(case.wait)
        machine.audit()


def fill_shm() -> None:
    """Leave no space on /dev/shm, which is this process's own: see main()."""
    with suppress(OSError), (SHM / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(65536))


def log_of(case: Case, console: str) -> str:
    """Write a log with its head: what it must be taken for, and how it was made."""
    console = console[console.find(BEGIN) :].replace("\r", "")
    splat = next(iter(find_splats(console)), None)
    head = [f"TITLE: {splat.title if splat else ''}", f"KIND: {splat.kind if splat else ''}"]
    if splat and splat.truncated:
        head.append(f"TRUNCATED: {splat.truncated}")
    kernel = f"zpdesc {case.flavour} {case.planted}" if case.planted else f"zspage {case.flavour}"
    made = " ".join((kernel, *case.variants))
    steps = case.text.splitlines()
    shown = "; ".join(steps[:6]) + f"; and {len(steps) - 6} more" * (len(steps) > 6)
    head.append(f"MADE BY: {made}: {shown}")
    return re.sub(r"[ \t]+\n", "\n", "\n".join(head) + "\n\n" + console)


def main() -> None:
    """Make the logs that are named, or all."""
    again = "--heads" in sys.argv
    names = [name for name in sys.argv[1:] if name != "--heads"] or list(CASES)
    for name in names:
        path = LOGS / f"{name}.log"
        if again:
            path.write_text(log_of(CASES[name], path.read_text()))
            continue
        if CASES[name].fills_host and not os.environ.get(INSIDE):
            command = (
                f"mount -t tmpfs -o size=140m none {SHM} && exec {sys.executable} {__file__} {name}"
            )
            subprocess.run(
                ["unshare", "--mount", "sh", "-c", command],
                env={**os.environ, INSIDE: "1"}, check=True,
            )  # fmt: skip
            continue
        text = log_of(CASES[name], console_of(CASES[name]))
        path.write_text(text)
        sys.stdout.write(f"{name}: {text.partition(chr(10))[0]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
