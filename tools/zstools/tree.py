# SPDX-License-Identifier: GPL-2.0-only
"""Make source trees that share files, and move built objects from one to another safely.

A kernel's tree is made of hard links to the unpatched source; patch(1) replaces the files that it
changes. Objects of a sibling are copied with their times, so that make rebuilds only what differs:
a source file that differs from the sibling's is given a new time, whichever of the two is older;
one that does not is given the sibling's. In a tree of ours only one kernel is built: times are its
own. In a copy of a user's tree there may be several, and no file is made older for the next one.
"""

from __future__ import annotations

import errno
import filecmp
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
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
# What no User Mode Linux guest compiles: half of the files, and most of the time of linking them.
_ELSEWHERE = re.compile(
    r"(?:Documentation|samples|sound|tools/perf|arch/(?!um/|x86/)[^/]+"
    r"|drivers/(?:accel|clk|crypto|gpu|hid|hwmon|iio|infiniband|media|mtd|net|phy|pinctrl|platform"
    r"|scsi|soc|staging|usb))/.*"
)
_KBUILD = re.compile(r"(?:Kconfig|Makefile|Kbuild)[^/]*")


def source_files(tree: Path, made: bool = True) -> Iterator[str]:
    """Yield the relative path of each source file and symbolic link of a kernel tree.

    Without what a build in the tree has @made: kbuild keeps the command beside it.
    """
    root = str(tree)
    for folder, names, files in os.walk(root, onerror=_cannot_walk):
        base = f"{folder[len(root) + 1 :]}/" if folder != root else ""
        names[:] = [n for n in names if not _SKIPPED_FOLDERS.fullmatch(f"{base}{n}")]
        links = [n for n in names if Path(folder, n).is_symlink()]
        there = set() if made else set(files)
        for name in (*files, *links):
            if f".{name}.cmd" not in there and not _SKIPPED_FILES.fullmatch(f"{base}{name}"):
                yield f"{base}{name}"


def is_compiled_here(name: str) -> bool:
    """Tell whether a User Mode Linux build may read a file of the tree."""
    if _ELSEWHERE.fullmatch(name) is None:
        return True
    return _KBUILD.fullmatch(name.rpartition("/")[2]) is not None


def link_tree(source: Path, target: Path, more: Collection[str] = ()) -> None:
    """Make @target, which must not exist, of hard links to the files of @source.

    What kbuild reads is all there, but not the code of other architectures, or of drivers for
    hardware that no guest has, nor documentation: only as far as @more names it, as patches do.
    """
    for name in source_files(source):
        if not is_compiled_here(name) and name not in more:
            continue
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(source / name, destination)


def adopt_objects(
    objects: Path, build: Path, names: Iterable[str] | None = None, *, shared: bool = False
) -> None:
    """Copy a sibling's object directory to @build and set file times so that make can tell.

    Each of the two directories lies in the tree that it was, or will be, built from; the sibling
    must be whole.  @names are the files that may differ, if that is known.  With @shared there are
    other objects in the tree already: no file becomes older, or make would take theirs for new.
    """
    partial = build.with_name(f"{build.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    # What is on record of the state of a directory is not true of its copy.
    shutil.copytree(objects, partial, symlinks=True, ignore=shutil.ignore_patterns(".zsfuzz-*"))
    for name in source_files(build.parent) if names is None else names:
        _match_time(objects.parent / name, build.parent / name, shared)
    partial.rename(build)


def _match_time(theirs: Path, ours: Path, shared: bool) -> None:
    if not ours.exists() or _is_linked(theirs, ours) or ours.is_symlink():
        return
    fresh = ours.with_name(f"{ours.name}.zsfuzz-new")
    fresh.unlink(missing_ok=True)
    if _has_same_content(theirs, ours):
        if shared and ours.stat().st_mtime_ns > theirs.stat().st_mtime_ns:
            return
        _link_or_copy(theirs, fresh)
    else:
        shutil.copy(ours, fresh)
    fresh.replace(ours)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def _is_linked(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except FileNotFoundError:
        return False


def _has_same_content(one: Path, other: Path) -> bool:
    if not one.is_file() or one.is_symlink() or one.stat().st_mode != other.stat().st_mode:
        return False
    return filecmp.cmp(one, other, shallow=False)


def _cannot_walk(error: OSError) -> None:
    raise SourceError(f"cannot read {error.filename}: {error.strerror}; check its permissions")
