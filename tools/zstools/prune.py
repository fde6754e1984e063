# SPDX-License-Identifier: GPL-2.0-only
"""Delete kernels from the cache that nobody has used for long."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zstools.cache import builder_lock, entries_dir, read_manifest
from zstools.paths import cache_dir
from zstools.progress import BuildProgress, Silent

DAY = 86400.0  # seconds
TREES = "trees"  # of Debian's sources, patched; those of the user's trees are in another place


@dataclass(frozen=True)
class Pruned:
    """Name a kernel, or a tree that no kernel is left of, and what it took on disk in bytes."""

    name: str
    size: int


def mark_used(entry: Path) -> None:
    """Note that a kernel was used now."""
    with suppress(OSError):
        os.utime(entry)


def prune(
    days: float, dry_run: bool = False, progress: BuildProgress | None = None
) -> list[Pruned]:
    """Delete the kernels that were not used for so many days, and trees of which none is left.

    Kernels that run now stay, and so does what was built from trees of the user's.  Waits for a
    build; raises OSError for what cannot be deleted.
    """
    cache = cache_dir()
    with builder_lock(cache, progress or Silent()):
        kept, old = _sorted_out(cache, time.time() - days * DAY)
        doomed = [*old, *(tree for tree in _children(cache / TREES) if tree.name not in kept)]
        counted: set[int] = set()
        sizes: dict[str, int] = {}
        for path in doomed:
            sizes[path.name] = sizes.get(path.name, 0) + _size(path, counted)
            if not dry_run:
                shutil.rmtree(path)
    return [Pruned(name, size) for name, size in sorted(sizes.items())]


def _sorted_out(cache: Path, since: float) -> tuple[set[str], list[Path]]:
    """Give the names of trees that are still needed, and the entries that are not."""
    running, kept, old = _running(), set(), []
    for entry in _children(entries_dir(cache)):
        manifest = read_manifest(entry)
        folder, _, name = str(manifest["tree"] if manifest else TREES).partition("/")
        if folder != TREES:
            continue
        used = entry.stat().st_mtime >= since
        if used or any(name and path.is_relative_to(cache / TREES / name) for path in running):
            kept.add(name)
        else:
            old.append(entry)
    return kept, old


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _running() -> set[Path]:
    """Find the executables of all processes that this user may look at."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found.add((process / "exe").readlink())
    return found


def _size(path: Path, counted: set[int]) -> int:
    """Add up what files take, those with several names once."""
    size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                facts = os.lstat(f"{folder}/{name}")
                size += 0 if facts.st_ino in counted else facts.st_blocks * 512
                counted.add(facts.st_ino)
    return size
