# SPDX-License-Identifier: GPL-2.0-only
"""Build the fuzzing module and the guest's root directory for one built kernel."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from zstools.command import run
from zstools.errors import ZsToolsError
from zstools.facts import HEADER
from zstools.kbuild import make_command
from zstools.paths import cache_dir, kmod_dir
from zstools.progress import BuildProgress
from zstools.wire import read_module_structs, save_wire

_MOUNT_POINTS = ("proc", "sys", "dev", "tmp", "cgroup")

_MODULE = "zsfuzz.ko"


def ensure_module(entry: Path, build: Path, progress: BuildProgress, lock: int) -> Path:
    """Return the directory with zsfuzz.ko, wire.json and root/, built if kmod/ has changed.

    The entry's layout header must be there. Raises CommandError with the compiler's errors.
    """
    target = entry / "modules" / _key(entry)
    if not (target / "wire.json").is_file():
        progress.begin("build the module")
        partial = target.with_name(f"{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        _build(entry, build, partial, progress, lock)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        progress.end()
    return target


def find_module(entry: Path) -> Path | None:
    """Return that directory if it is whole and up to date, and build nothing."""
    if not (entry / HEADER).is_file():
        return None
    target = entry / "modules" / _key(entry)
    return target if (target / "wire.json").is_file() else None


def _sources() -> list[Path]:
    kmod = kmod_dir()
    return sorted([*kmod.glob("*.[ch]"), kmod / "Kbuild"])


def _agent() -> list[Path]:
    return sorted((kmod_dir() / "agent").glob("*.[ch]"))


def _key(entry: Path) -> str:
    return _hash((*_sources(), *_agent(), entry / HEADER))


def _hash(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:12]


def _build(entry: Path, build: Path, target: Path, progress: BuildProgress, lock: int) -> None:
    scratch = target / "objects"
    scratch.mkdir(parents=True)
    for path in (*_sources(), entry / HEADER):
        shutil.copy(path, scratch)
    run(
        [*make_command(build, os.cpu_count() or 1), f"M={scratch}", "modules"],
        progress=progress,
        on_line=lambda line: progress.step(line.strip()),
        keep_open=(lock,),
    )
    shutil.move(scratch / _MODULE, target / _MODULE)
    _build_root(target, progress, lock)
    _save_wire(target)
    shutil.rmtree(scratch)


def _save_wire(target: Path) -> None:
    """Write wire.json; the same sources have the same wire format, and reading it takes seconds."""
    known = cache_dir() / "wire" / f"{_hash(_sources())}.json"
    if not known.is_file():
        known.parent.mkdir(exist_ok=True)
        partial = known.with_suffix(f".{os.getpid()}")
        save_wire(read_module_structs(target / _MODULE), partial)
        partial.replace(known)
    shutil.copy(known, target / "wire.json")


def _build_root(target: Path, progress: BuildProgress, lock: int) -> None:
    """Make the guest's root: its own init, the module without debug information, mount points."""
    root = target / "root"
    for name in _MOUNT_POINTS:
        (root / name).mkdir(parents=True)
    sources = [str(path) for path in _agent() if path.suffix == ".c"]
    if not sources:
        raise ZsToolsError(f"{kmod_dir() / 'agent'} has no sources: restore it from git")
    compiler = ["gcc", "-O2", "-Wall", "-Wextra", "-static", f"-I{kmod_dir()}"]
    command = [*compiler, *sources, "-o", str(root / "init")]
    run(command, progress=progress, keep_open=(lock,))
    strip = ["strip", "--strip-debug", "-o", str(root / _MODULE), str(target / _MODULE)]
    run(strip, progress=progress, keep_open=(lock,))
