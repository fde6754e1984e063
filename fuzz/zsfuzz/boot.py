# SPDX-License-Identifier: GPL-2.0-only
"""Boot a built kernel as a target."""

from __future__ import annotations

import os
from pathlib import Path

from zsfuzz.guest.abi import read_abi
from zsfuzz.guest.machine import Machine
from zsfuzz.guest.process import UmlOptions
from zstools.kernel import Kernel

MEMORY = {"plain": 128, "kasan": 320, "lockdep": 512}  # MiB


def boot(kernel: Kernel, console: Path) -> Machine:
    """Start a guest on the last of this process's CPUs.

    If it does not get ready, BootFailed where its kernel complained, HarnessError otherwise.
    """
    memory = MEMORY[kernel.spec.flavour]
    options = UmlOptions(kernel.linux, kernel.guest_root, memory, guest_cpu())
    profile = kernel.spec.profile or ""
    return Machine(options, read_abi(kernel.wire), console, profile=profile)


def guest_cpu() -> int | None:
    """Choose the host CPU that a guest is to stay on, None if there is only one."""
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[-1] if len(cpus) > 1 else None
