# SPDX-License-Identifier: GPL-2.0-only
"""Follow a kernel tree of the user's: a copy in the cache that changes only where the tree does.

The tree itself is only read.  All kernels that are built from one tree with the same patches share
one copy, in which each configuration has an object directory; files that changed get a new time, so
that make compiles again what depends on them and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zstools.cache import write_atomically
from zstools.errors import SourceError
from zstools.progress import BuildProgress
from zstools.series import apply_patches, files_of, patches_hash
from zstools.tree import is_compiled_here, source_files

_OWN = "own"
# Variables, set in hooks for instance, by which git would look at another repository.
GIT_PLACES = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX",
)  # fmt: skip
_ESSENTIAL = {"Makefile", "mm/zsmalloc.c"}  # no kernel that we could build is without
_FORMAT = 2
KEY = ".zsfuzz-key"  # in an object directory: of the kernel that it was left in the state of


@dataclass(frozen=True)
class Scan:
    """What a tree has: for each file size, time of the last change, and a hash of its contents."""

    tree: Path
    files: dict[str, tuple[int, int, str]]
    commit: str  # "" if it is no git checkout

    def has_same(self, name: str, other: Path) -> bool:
        """Tell whether another file is what the tree has under this name, or neither is there."""
        mine = self.files.get(name)
        return (mine[2] if mine else None) == (_hash_of(other) if other.is_file() else None)

    @property
    def digest(self) -> str:
        """A hash of all contents: the same for trees that are the same."""
        return self._digest(self.files)

    @property
    def kconfig_digest(self) -> str:
        """A hash of what decides which options there are, and what the compiler is asked."""
        return self._digest(filter(_decides_options, self.files))

    def _digest(self, names: Iterable[str]) -> str:
        total = hashlib.sha256()
        for name in sorted(names):
            total.update(f"{name}\0{self.files[name][2]}\n".encode())
        return total.hexdigest()[:12]


def _decides_options(name: str) -> bool:
    asks_compiler = name.startswith("scripts/") and name.endswith((".sh", ".include"))
    return name == "Makefile" or name.rpartition("/")[2].startswith("Kconfig") or asks_compiler


def place_of(cache: Path, tree: Path, patches: Sequence[Path] = ()) -> Path:
    """Return the directory of a tree's copy with these patches."""
    name = hashlib.sha256(str(tree.resolve()).encode()).hexdigest()[:8]
    return cache / _OWN / (f"{name}-{patches_hash(patches)}" if patches else name)


def scan_tree(cache: Path, tree: Path) -> Scan:
    """Look at all files; contents are read only of those whose size or time changed."""
    known = _load(_scan_file(cache, tree))
    files = {}
    for name in _files_of(tree):
        stat = os.lstat(f"{tree}/{name}")
        size, time, content = known.get(name, (-1, -1, ""))
        # Not when it was modified: that can be kept, and its mode be changed without it.
        if (size, time) != (stat.st_size, stat.st_ctime_ns):
            content = _hash_of(tree / name)
        files[name] = (stat.st_size, stat.st_ctime_ns, content)
    return Scan(tree, files, _commit(tree))


def was_scanned(cache: Path, tree: Path) -> bool:
    """Tell whether a scan is quick."""
    return _scan_file(cache, tree).is_file()


def remember(cache: Path, scan: Scan) -> None:
    """Keep a scan, so that the next one is quick."""
    path = _scan_file(cache, scan.tree)
    if _load(path) == scan.files:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Nobody holds the cache here: another process may write the same.
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps({"format": _FORMAT, "files": scan.files}))
    partial.replace(path)


def state_of(build: Path) -> str:
    """Return the key of the kernel that an object directory was left in the state of, or ""."""
    try:
        return (build / KEY).read_text()
    except OSError:
        return ""


def unlike_copy(scan: Scan, copy: Path) -> set[str]:
    """Name the files of a tree that another tree's copy has not, or has otherwise."""
    have = {name: entry[2] for name, entry in _load(_state_file(copy)).items()}
    want = {name: entry[2] for name, entry in scan.files.items()}
    return {name for name in have.keys() | want.keys() if have.get(name) != want.get(name)}


def sync_copy(scan: Scan, patches: Sequence[Path], copy: Path, progress: BuildProgress) -> int:
    """Make the copy what the tree is, with the patches; return how many files changed.

    Raises SourceError if the tree changes meanwhile, PatchError if a patch does not apply.
    """
    state = _state_file(copy)
    have = {name: entry[2] for name, entry in _load(state).items()} if copy.is_dir() else {}
    want = {name: entry[2] for name, entry in scan.files.items()}
    scratch = copy.with_name(f"{copy.name}.patched")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        patched = _patched_files(scan, patches, scratch, progress)
        want |= {name: _hash_of(scratch / name) for name in patched}
        changed = [name for name in want if have.get(name) != want[name]]
        gone = [name for name in have if name not in want]
        # What is about to change is not known until it has: this may be interrupted.
        kept = {n: (0, 0, h) for n, h in have.items() if want.get(n) == h}
        if changed or gone:
            copy.mkdir(parents=True, exist_ok=True)
            _save(state, kept)
        for name in gone:
            (copy / name).unlink(missing_ok=True)
        for name in changed:
            _replace((scratch if name in patched else scan.tree) / name, copy / name, want[name])
        if changed or gone:
            _save(state, {n: (0, 0, h) for n, h in want.items()})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return len(changed) + len(gone)


def _patched_files(
    scan: Scan, patches: Sequence[Path], scratch: Path, progress: BuildProgress
) -> set[str]:
    touched = files_of(patches)
    if not touched:
        return set()
    for name in touched:
        if not (scan.tree / name).is_file():
            continue  # the patch makes it, or is told that it does not apply
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(scan.tree / name, scratch / name)
    scratch.mkdir(exist_ok=True)
    apply_patches(scratch, patches, progress)
    return {name for name in touched if is_compiled_here(name) and (scratch / name).is_file()}


def _replace(source: Path, target: Path, content: str) -> None:
    """Copy with a new time, into a new file: the old one may have other links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f"{target.name}.zsfuzz-new")
    fresh.unlink(missing_ok=True)
    try:
        shutil.copy(source, fresh, follow_symlinks=False)
    except OSError as error:
        raise SourceError(f"cannot copy {source}: {error.strerror}") from error
    if _hash_of(fresh) != content:
        fresh.unlink()
        raise SourceError(f"{source} changed while it was copied: run the same command again")
    fresh.replace(target)


def _files_of(tree: Path) -> Iterator[str]:
    listed = _listed_by_git(tree)
    names: Iterable[str]
    if listed is not None:
        names = (name for name in listed if os.path.lexists(f"{tree}/{name}"))
    else:
        names = source_files(tree, made=False)
    # Of a whole tree's files, Path objects take seconds.
    is_folder = os.path.isdir
    return (n for n in names if is_compiled_here(n) and not is_folder(f"{tree}/{n}"))


def _listed_by_git(tree: Path) -> list[str] | None:
    """Name what git tracks or would track; None if that is not the kernel.

    Debian's source has a .gitignore that leaves out all but its packaging.
    """
    if not _is_checkout(tree):
        return None
    listed = _git(tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = set(filter(None, (listed or "").split("\0")))
    return sorted(names) if names >= _ESSENTIAL else None


def _commit(tree: Path) -> str:
    """Name the commit that is checked out, with a + if files differ from it."""
    if not _is_checkout(tree):
        return ""
    commit = (_git(tree, "rev-parse", "--short=12", "HEAD") or "").strip()
    dirty = _git(tree, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+" if commit and dirty else commit


def _is_checkout(tree: Path) -> bool:
    top = _git(tree, "rev-parse", "--show-toplevel")
    return top is not None and Path(top.strip()).resolve() == tree.resolve()


def _git(tree: Path, *arguments: str) -> str | None:
    # Without the optional locks git does not even refresh the index of the tree.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    for name in GIT_PLACES:
        environment.pop(name, None)
    command = ["git", "-C", str(tree), "-c", f"safe.directory={tree.resolve()}", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="surrogateescape", check=False,
            env=environment,
        )  # fmt: skip
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def _hash_of(path: Path) -> str:
    try:
        if path.is_symlink():
            return hashlib.sha256(str(path.readlink()).encode()).hexdigest()[:24]
        mode = "x" if os.access(path, os.X_OK) else "-"
        return mode + hashlib.sha256(path.read_bytes()).hexdigest()[:24]
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}; check its permissions") from error


def _state_file(copy: Path) -> Path:
    return copy.with_name(f"{copy.name}.state")


def _scan_file(cache: Path, tree: Path) -> Path:
    place = place_of(cache, tree)
    return place.with_name(f"{place.name}.scan")


def _load(path: Path) -> dict[str, tuple[int, int, str]]:
    try:
        facts = json.loads(path.read_text())
        if facts["format"] != _FORMAT:
            return {}
        return {name: tuple(entry) for name, entry in facts["files"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _save(path: Path, files: dict[str, tuple[int, int, str]]) -> None:
    write_atomically(path, json.dumps({"format": _FORMAT, "files": files}))
