# SPDX-License-Identifier: GPL-2.0-only
"""Boot a built kernel as a target."""

from __future__ import annotations

import os
from pathlib import Path

from zsfuzz.guest.abi import read_abi
from zsfuzz.guest.machine import Machine
from zsfuzz.guest.uml import UmlOptions
from zstools.kernel import Kernel

MEMORY = {"plain": 128, "kasan": 320, "lockdep": 512}  # MiB


def boot(kernel: Kernel, console: Path) -> Machine:
    """Start a guest on the last of this process's CPUs; HarnessError if it does not come up."""
    cpus = sorted(os.sched_getaffinity(0))
    options = UmlOptions(
        kernel.linux,
        kernel.guest_root,
        memory=MEMORY[kernel.spec.flavour],
        cpu=cpus[-1] if len(cpus) > 1 else None,
    )
    return Machine(options, read_abi(kernel.wire), console)
