# SPDX-License-Identifier: GPL-2.0-only
"""Build the kernel tree's own tests, and the directory that a guest with them has for its root.

There is nothing in it but the tests, busybox and what sets the guest up: tests see nothing of the
host.  It is kept in the cache under a key of everything that went into it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from elftools.elf.elffile import ELFFile

from zsfuzz.errors import HarnessError
from zsfuzz.selftests.programs import Program
from zstools.cache import key_of
from zstools.command import run
from zstools.errors import CommandError
from zstools.kernel import Kernel
from zstools.paths import cache_dir, kmod_dir
from zstools.progress import BuildProgress

_PACKAGE = "busybox-static"
_FOLDERS = ("bin", "dev", "proc", "selftests", "sys", "tmp")
# Programs that tests call, in terms of busybox.
_WRAPPERS = {
    "bash": 'exec /bin/sh "$@"',
    # zram's logical blocks are of 4 KiB, and the kernel mounts no smaller ones.
    "mkfs.ext2": 'exec mke2fs -b 4096 "$@"',
}


def ensure_root(kernel: Kernel, programs: Sequence[Program], progress: BuildProgress) -> Path:
    """Return the guest's root with @programs from the kernel's own, patched tree.

    HarnessError if a program is not in that tree, does not build, or busybox is missing.
    """
    busybox = find_busybox()
    target = cache_dir() / "selftests" / _key(kernel, programs, busybox)
    if target.is_dir():
        return target
    progress.begin(f"build the tests of {kernel.manifest['name']}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="partial-", dir=target.parent) as scratch:
        root = Path(scratch) / "root"
        _make_system(root, busybox)
        for program in programs:
            _add(program, kernel.source, root, Path(scratch) / "objects", progress)
        if not target.is_dir():  # another run may have been quicker
            root.rename(target)
    progress.end()
    return target


def find_busybox() -> Path:
    """Find a busybox that needs no libraries; HarnessError if there is none."""
    found = shutil.which("busybox")
    if found is None or not _is_static(Path(found)):
        raise HarnessError(
            f"no static busybox on this machine ({found or 'none'} in the path), which is all that "
            f"a guest with tests has: sudo apt-get install --no-install-recommends {_PACKAGE}"
        )
    return Path(found)


def _is_static(path: Path) -> bool:
    with path.open("rb") as stream:
        segments = ELFFile(stream).iter_segments()
        return all(segment.header.p_type != "PT_INTERP" for segment in segments)


def _init() -> Path:
    return kmod_dir() / "agent" / "selftests.sh"


def _key(kernel: Kernel, programs: Sequence[Program], busybox: Path) -> str:
    inputs = kernel.manifest["inputs"]
    return key_of(
        {
            "tree": [inputs[name] for name in ("source", "patches", "compiler")],
            "programs": [str(program) for program in programs],
            "files": [hashlib.sha256(p.read_bytes()).hexdigest() for p in (busybox, _init())],
            "folders": _FOLDERS,
            "wrappers": _WRAPPERS,
        }
    )


def _make_system(root: Path, busybox: Path) -> None:
    for name in _FOLDERS:
        (root / name).mkdir(parents=True)
    tools = root / "bin"
    shutil.copy(busybox, tools / "busybox")
    shutil.copy(_init(), root / "init")
    listing = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for name in {*listing.stdout.split()} - {"busybox", *_WRAPPERS}:
        (tools / name).symlink_to("busybox")
    for name, command in _WRAPPERS.items():
        (tools / name).write_text(f"#!/bin/sh\n{command}\n")
        (tools / name).chmod(0o755)


def _add(program: Program, tree: Path, root: Path, objects: Path, progress: BuildProgress) -> None:
    source = tree / "tools" / "testing" / "selftests" / program.folder
    target = root / "selftests" / program.folder
    if (source / f"{program.name}.c").is_file():
        built = _build(program, source, objects / program.folder, progress)
        target.mkdir(exist_ok=True)
        shutil.copy(built, target)
    elif (source / program.name).is_file():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        raise HarnessError(f"no test {program} in {source.parent}: give another one")


def _build(program: Program, source: Path, objects: Path, progress: BuildProgress) -> Path:
    """Build one program by the tests' own makefile, static, outside of the source tree."""
    objects.mkdir(parents=True, exist_ok=True)
    target = objects / program.name
    command = ["make", "-C", str(source), f"OUTPUT={objects}", "USERLDFLAGS=-static", str(target)]
    try:
        run(command, progress=progress, on_line=lambda line: progress.step(line.strip()))
    except CommandError as error:
        raise HarnessError(f"cannot build the test {program}: {error}") from error
    return target
