# SPDX-License-Identifier: GPL-2.0-only
"""Keep a guest from the host: a UML kernel is a process of the user, with all that the user may do.

Whoever takes over a guest's kernel has that process.  So it gives up, before it starts, what it
does not need, as far as the machine can: a network namespace of its own has no interfaces but a
loopback that is down, a user namespace of its own has no rights over what is the host's, and
Landlock leaves it few files.  What this covers and what not is in docs/SECURITY.md.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from zsfuzz.guest.landlock import Access, landlock_version, make_ruleset, restrict_self

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_READ = Access.READ_FILE | Access.READ_DIR
_RUN = _READ | Access.EXECUTE
_CHANGE = Access.WRITE_FILE | Access.TRUNCATE | Access.MAKE_REG | Access.REMOVE_FILE
# What the kernel's executable is linked with, and what UML reads of its host.
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store")
_FACTS = ("/etc/ld.so.cache", "/proc/cpuinfo", "/proc/mounts", "/proc/sys/vm")
CONSOLE_LIMIT = 256 << 20  # bytes: no guest fills the host's disk


@dataclass(frozen=True)
class Needs:
    """What a guest must reach: its kernel and root, a folder of its own, its memory, its disk."""

    kernel: Path
    root: Path
    scratch: Path
    memory: Path
    memory_bytes: int
    disk: Path | None = None


@dataclass(frozen=True)
class Confinement:
    """How far this machine can confine guests; see docs/SECURITY.md."""

    landlock: int  # version of its interface, 0: none
    namespaces: int  # flags of unshare()

    @property
    def no_network(self) -> bool:
        """Tell whether guests have a network namespace of their own."""
        return bool(self.namespaces & _CLONE_NEWNET)

    def __str__(self) -> str:
        files = f"Landlock {self.landlock}" if self.landlock else "all of the user's: no Landlock"
        network = "none" if self.no_network else "the user's: no network namespaces"
        rights = "none" if self.namespaces & _CLONE_NEWUSER else "the user's: no user namespaces"
        return f"files: {files}; network: {network}; rights over the host: {rights}"


def confinement(needs: Needs) -> Confinement:
    """Find out by trying; the answer for a kernel, root and kind of scratch folder is kept."""
    flags = _namespaces(needs.kernel, needs.root, needs.scratch.parent)
    return Confinement(landlock_version(), flags)


@cache
def _namespaces(kernel: Path, root: Path, folder: Path) -> int:
    def try_out(flags: int) -> None:
        _unshare(flags)
        # Root in a namespace of its own is refused what belongs to somebody else.
        if not (os.access(kernel, os.R_OK | os.X_OK) and os.access(root, os.R_OK | os.X_OK)):
            raise PermissionError(kernel)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(folder)

    for flags in (_CLONE_NEWUSER | _CLONE_NEWNET, _CLONE_NEWNET):
        try:
            subprocess.run(["true"], check=True, preexec_fn=partial(try_out, flags))
        except (OSError, subprocess.SubprocessError):
            continue
        return flags
    return 0


def _unshare(flags: int) -> None:
    user, group = os.getuid(), os.getgid()
    if flags and _LIBC.unshare(flags):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    if flags & _CLONE_NEWUSER:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def confiner(needs: Needs) -> tuple[Callable[[], None], Callable[[], None]]:
    """Prepare to confine a child; gives what the child calls, and what closes what was prepared."""
    found = confinement(needs)
    ruleset = make_ruleset(_granted(needs))
    disk = needs.disk.stat().st_size if needs.disk else 0
    biggest = max(needs.memory_bytes, disk, CONSOLE_LIMIT)

    def confine() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (biggest, biggest))
        _unshare(found.namespaces)
        if ruleset is not None:
            restrict_self(ruleset)

    def close() -> None:
        if ruleset is not None:
            os.close(ruleset)

    return confine, close


def _granted(needs: Needs) -> dict[Path, Access]:
    granted = {
        needs.kernel: _RUN,
        needs.root: _READ,
        needs.scratch: _READ | _CHANGE | Access.MAKE_DIR | Access.REMOVE_DIR,
        needs.memory: _READ | _CHANGE,
        Path("/dev/null"): _READ | Access.WRITE_FILE,
    }
    granted |= {Path(name): _RUN for name in _LIBRARIES}
    granted |= {Path(name): _READ for name in _FACTS}
    if needs.disk is not None:
        granted[needs.disk] = _READ | Access.WRITE_FILE
    return granted
