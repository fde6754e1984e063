# SPDX-License-Identifier: GPL-2.0-only
"""Know which programs a kernel build needs, and exactly which compiler will be used."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

from zstools.errors import ToolMissingError

# Program: the Debian package that has it.
TOOLS = {
    "gcc": "gcc",
    "make": "make",
    "ld": "binutils",
    "objdump": "binutils",
    "flex": "flex",
    "bison": "bison",
    "bc": "bc",
    "patch": "patch",
    "xz": "xz-utils",
}
LIBC_PACKAGE = "libc6-dev"


def check_tools(which: Callable[[str], str | None] = shutil.which) -> None:
    """Raise ToolMissingError with one paste-ready line if anything is missing."""
    missing = sorted({package for tool, package in TOOLS.items() if which(tool) is None})
    if "gcc" not in missing and not _has_libc_headers():
        missing.append(LIBC_PACKAGE)
    if missing:
        line = f"sudo apt-get install --no-install-recommends {' '.join(missing)}"
        raise ToolMissingError(f"the kernel build needs what is not installed: {line}")


def compiler_version() -> str:
    """Return the first line of `gcc --version`, part of a kernel's cache key."""
    done = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolMissingError(f"gcc does not run: {done.stderr.strip()}")
    return done.stdout.splitlines()[0]


def _has_libc_headers() -> bool:
    command = ["gcc", "-x", "c", "-E", "-include", "stdio.h", "/dev/null"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
