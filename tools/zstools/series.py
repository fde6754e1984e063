# SPDX-License-Identifier: GPL-2.0-only
"""Find the patch series of a design and apply patches to a tree."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from zstools.command import run
from zstools.errors import CommandError, PatchError
from zstools.paths import project_root
from zstools.progress import BuildProgress, Silent

STOCK = "stock"
USUAL_VERSION = "7.2"  # planted bugs are for this one
_COMMON = "common"
_FIRST_FILE = re.compile(rb"^(?:diff --git |--- )", re.MULTILINE)
_TOUCHED = re.compile(r"(?:---|\+\+\+) [^/\s]+/(\S+)")  # a/ and b/, or any other folder


def supported_versions(series: Path) -> list[str]:
    """Return the versions that have patches, the usual one first, then the newest first.

    `7.2` is a directory of that name.
    """
    found = [d.name for d in series.iterdir() if d.is_dir()] if series.is_dir() else []
    ordered = sorted(found, key=lambda v: [int(n) for n in v.split(".")], reverse=True)
    return sorted(ordered, key=lambda v: v != USUAL_VERSION)


def designs(series: Path, version: str) -> list[str]:
    """Return the designs that exist for a version; stock always does."""
    base = series / version
    found = [d.name for d in base.iterdir() if d.is_dir()] if base.is_dir() else []
    return [STOCK, *sorted(set(found) - {_COMMON})]


def find_patches(series: Path, version: str, design: str) -> tuple[Path, ...]:
    """Return the patches of a design in order: common ones first; none for stock."""
    if design == STOCK:
        return ()
    known = designs(series, version)
    if design not in known:
        have = ", ".join(known)
        raise PatchError(f"no series of design {design!r} for Linux {version}: there is {have}")
    folders = [series / version / _COMMON, series / version / design]
    return tuple(p for folder in folders for p in sorted(folder.glob("*.patch")))


def patches_hash(patches: Iterable[Path]) -> str:
    """Return a hash of what the patches change, and of their order; not of what they say."""
    total = hashlib.sha256()
    for path in patches:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise PatchError(f"cannot read patch {path}: {error.strerror}") from error
        begin = _FIRST_FILE.search(content)
        total.update(hashlib.sha256(content[begin.start() if begin else 0 :]).digest())
    return total.hexdigest()[:16]


def touched_files(patch: Path) -> tuple[str, ...]:
    """Return the files that a patch changes, makes or removes, as paths in the tree.

    PatchError if there is none: what is not seen to change would not be compiled.
    """
    names = (_TOUCHED.match(line) for line in patch.read_text(errors="replace").splitlines())
    touched = tuple(sorted({found[1] for found in names if found is not None}))
    if not touched:
        raise PatchError(f"{patch} changes no file: give a patch that applies with -p1")
    return touched


def files_of(patches: Iterable[Path]) -> set[str]:
    """Return the files that any of the patches touches; raises PatchError."""
    return {name for path in patches for name in touched_files(path)}


def apply_patches(
    tree: Path, patches: Sequence[Path], progress: BuildProgress | None = None
) -> None:
    """Apply patches: our own exactly, those from elsewhere with patch(1)'s usual fuzz.

    Whoever has a patch against the kernel cannot know the lines around it that a series changes;
    what needed fuzz is told through @progress.  patch(1) replaces files, so hard links stay whole.
    """
    progress = progress or Silent()
    for path in patches:
        fuzz = 0 if path.resolve().is_relative_to(project_root()) else 2
        command = ["patch", "-p1", "--forward", f"--fuzz={fuzz}", "--no-backup-if-mismatch"]
        command += ["--reject-file=-", "--directory", str(tree), "--input", str(path.resolve())]
        try:
            told = run(command, progress=progress)
        except CommandError as error:
            raise PatchError(_explain(path, str(error), tree)) from error
        if " with fuzz " in told:
            progress.begin(f"{path.name} applies with fuzz: see that it is where it belongs")
            progress.end()


def _explain(path: Path, output: str, tree: Path) -> str:
    lines = output.splitlines()
    files = [ln.removeprefix("patching file ") for ln in lines if ln.startswith("patching file")]
    hunks = [ln.strip() for ln in lines if "FAILED" in ln or "malformed" in ln or "find file" in ln]
    where = f" to {files[-1]}" if files else ""
    why = "; ".join(hunks) or lines[-1]
    source = tree.name.removesuffix(".partial")  # a tree has that name until it is whole
    return f"{path.name} does not apply{where} ({why}): rebase it on the source in {source}"
