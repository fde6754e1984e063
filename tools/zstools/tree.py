# SPDX-License-Identifier: GPL-2.0-only
"""Make source trees that share files, and move built objects from one to another safely.

A tree for a set of patches is made of hard links to the unpatched source; patch(1) replaces the
files that it changes. Objects of a sibling are copied with their times, so that make rebuilds only
what differs; each source file that differs is given a new time, whichever of the two is older.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from zstools.errors import SourceError

BUILD_PREFIX = "build-"
# What a build in the tree itself leaves there, and what is no source at all.
_SKIPPED_FOLDERS = re.compile(
    r"\.git|build-[^/]*|include/(config|generated)|arch/\w+/include/generated"
)
_SKIPPED_FILES = re.compile(
    r"\.config(\.old)?|vmlinux[^/]*|System\.map|Module\.symvers|modules\.\w+"
    r"|.*\.(o|a|ko|cmd|mod|mod\.c|order|lex\.c|tab\.[ch])"
)


def source_files(tree: Path) -> Iterator[Path]:
    """Yield the relative path of each source file and symbolic link of a kernel tree."""
    for folder, names, files in os.walk(tree, onerror=_cannot_walk):
        base = Path(folder).relative_to(tree)
        names[:] = [n for n in names if not _SKIPPED_FOLDERS.fullmatch((base / n).as_posix())]
        links = [n for n in names if (Path(folder) / n).is_symlink()]
        for name in (*files, *links):
            if not _SKIPPED_FILES.fullmatch((base / name).as_posix()):
                yield base / name


def link_tree(source: Path, target: Path) -> None:
    """Make @target, which must not exist, of hard links to the files of @source."""
    for name in source_files(source):
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(source / name, destination)


def import_tree(source: Path, target: Path, previous: Path | None) -> None:
    """Copy @source, sharing with @previous the files whose size and time are the same."""
    for name in source_files(source):
        origin, destination = source / name, target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        older = previous / name if previous is not None else None
        if older is not None and _looks_same(origin, older):
            _link_or_copy(older, destination)
        else:
            shutil.copy2(origin, destination, follow_symlinks=False)


def adopt_objects(objects: Path, build: Path) -> None:
    """Copy a sibling's object directory to @build and renew the times of sources that differ.

    Each of the two directories lies in the tree that it was, or will be, built from.
    """
    partial = build.with_name(f"{build.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(objects, partial, symlinks=True)
    for name in source_files(build.parent):
        if not _is_same_file(objects.parent / name, build.parent / name):
            _renew(build.parent / name)
    partial.rename(build)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def _looks_same(one: Path, other: Path) -> bool:
    try:
        a, b = one.lstat(), other.lstat()
    except FileNotFoundError:
        return False
    return (a.st_mode, a.st_size, a.st_mtime_ns) == (b.st_mode, b.st_size, b.st_mtime_ns)


def _is_same_file(one: Path, other: Path) -> bool:
    try:
        a, b = one.lstat(), other.lstat()
    except FileNotFoundError:
        return False
    if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino):
        return True
    both_files = not one.is_symlink() and not other.is_symlink()
    return both_files and a.st_size == b.st_size and one.read_bytes() == other.read_bytes()


def _renew(path: Path) -> None:
    """Give a file the present time without touching those that are linked to it."""
    if path.is_symlink():
        return
    fresh = path.with_name(f"{path.name}.zsfuzz-new")
    shutil.copy(path, fresh)
    fresh.replace(path)


def _cannot_walk(error: OSError) -> None:
    raise SourceError(f"cannot read {error.filename}: {error.strerror}; check its permissions")
