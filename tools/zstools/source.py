# SPDX-License-Identifier: GPL-2.0-only
"""Get the unpatched kernel source: from a Debian package, or from a tree that the user has."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zstools.apt import Mirror, PrivateApt, find_mirror
from zstools.command import run
from zstools.errors import SourceError
from zstools.progress import BuildProgress
from zstools.tree import import_tree, source_files

# 600 MB that no guest compiles; Kconfig files stay.
_EXCLUDED = "*/drivers/gpu/*.[ch]"


@dataclass(frozen=True)
class Source:
    """An unpatched tree in the cache."""

    path: Path
    version: str  # of the kernel: 7.2.13
    origin: str  # unique to the contents: a package version, or a hash

    @property
    def series(self) -> str:
        """Return the version that patch series are kept for: 7.2."""
        return ".".join(self.version.split(".")[:2])


def tree_version(tree: Path) -> str:
    """Return a tree's kernel version; raise SourceError if it is no kernel source."""
    try:
        text = (tree / "Makefile").read_text()
    except OSError as error:
        raise SourceError(
            f"{tree} is not a readable kernel tree ({error.strerror}): name its top directory"
        ) from error
    parts: dict[str, str] = dict(
        re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *= *(\S*)$", text, re.M)
    )
    if not parts.get("VERSION") or not (tree / "mm" / "zsmalloc.c").is_file():
        raise SourceError(f"{tree} is not a kernel tree with mm/zsmalloc.c: name its top directory")
    numbers = [parts[n] for n in ("VERSION", "PATCHLEVEL", "SUBLEVEL") if parts.get(n)]
    return ".".join(numbers) + str(parts.get("EXTRAVERSION", ""))


def debian_source(
    cache: Path, supported: list[str], progress: BuildProgress, update: bool = False
) -> Source:
    """Return the newest supported Debian source, from the cache unless @update or absent."""
    sources = cache / "sources"
    if not update:
        cached = _newest_cached(sources, supported)
        if cached is not None:
            return cached
    return _fetch(cache, supported, find_mirror(), progress)


def is_cached(cache: Path, supported: list[str], tree: Path | None) -> bool:
    """Tell whether the source, Debian's or the copy of @tree, is in the cache as it is now."""
    if tree is None:
        return _newest_cached(cache / "sources", supported) is not None
    tree_version(tree)
    return _copy_of(cache, tree.resolve())[0].is_dir()


def local_source(cache: Path, tree: Path, progress: BuildProgress) -> Source:
    """Copy a tree of the user's into the cache, unless its copy is there; never change it."""
    tree = tree.resolve()
    version = tree_version(tree)
    target, digest = _copy_of(cache, tree)
    if not target.is_dir():
        progress.begin(f"copy {tree}")
        place = target.name.removesuffix(f"-{digest}")
        older = [p for p in (cache / "sources").glob(f"{place}-*") if p.suffix != ".partial"]
        _complete(target, lambda partial: import_tree(tree, partial, _newest(older)))
        progress.end()
    return Source(target, version, f"local-{digest}")


def _copy_of(cache: Path, tree: Path) -> tuple[Path, str]:
    digest = _digest(tree)
    place = f"local-{hashlib.sha256(str(tree).encode()).hexdigest()[:8]}"
    return cache / "sources" / f"{place}-{digest}", digest


def _digest(tree: Path) -> str:
    """Hash names, sizes and times of all files: the contents would take a minute."""
    total = hashlib.sha256()
    for name in sorted(source_files(tree)):
        stat = (tree / name).lstat()
        total.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return total.hexdigest()[:12]


def _newest(paths: list[Path]) -> Path | None:
    return max(paths, key=lambda p: p.stat().st_mtime_ns, default=None)


def _newest_cached(sources: Path, supported: list[str]) -> Source | None:
    for version in supported:
        found = [p for p in sources.glob(f"debian-{version}.*") if p.suffix != ".partial"]
        newest = _newest(found)
        if newest is not None:
            return Source(newest, tree_version(newest), newest.name)
    return None


def _fetch(cache: Path, supported: list[str], mirror: Mirror, progress: BuildProgress) -> Source:
    progress.begin(f"look for linux-source-{' or -'.join(supported)} on {mirror.uri}")
    apt = PrivateApt(cache / "apt", mirror, progress)
    apt.update()
    for version in supported:
        package = f"linux-source-{version}"
        found = apt.newest(package)
        if found is not None:
            target = cache / "sources" / f"debian-{found.replace('~', '_').replace(':', '_')}"
            if not target.is_dir():
                _download(apt, package, found, target, progress)
            progress.end()
            return Source(target, tree_version(target), target.name)
    raise SourceError(
        f"no package linux-source-{' or -'.join(supported)} on {mirror.uri}: "
        "give a kernel tree with --linux DIR"
    )


def _download(
    apt: PrivateApt, package: str, version: str, target: Path, progress: BuildProgress
) -> None:
    downloads = target.parent.parent / "downloads" / target.name
    shutil.rmtree(downloads, ignore_errors=True)
    progress.begin(f"download {package} {version}")
    deb = apt.download(package, version, downloads)
    progress.begin(f"unpack {package} {version}")
    _complete(target, lambda partial: _unpack(deb, partial, progress))
    shutil.rmtree(downloads)


def _unpack(deb: Path, target: Path, progress: BuildProgress) -> None:
    run(["dpkg-deb", "-x", str(deb), str(deb.parent)], progress=progress)
    tarball = next((deb.parent / "usr" / "src").glob("linux-source-*.tar.*"))
    command = ["tar", "-xf", str(tarball), "-C", str(target), "--strip-components=1"]
    run([*command, "--no-same-owner", "--wildcards", f"--exclude={_EXCLUDED}"], progress=progress)


def _complete(target: Path, fill: Callable[[Path], None]) -> None:
    """Fill a directory beside @target and rename it into place only when it is whole."""
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    fill(partial)
    partial.rename(target)
