# SPDX-License-Identifier: GPL-2.0-only
"""Get the unpatched kernel source from a Debian package; zstools.owntree is about other trees."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zstools.apt import Mirror, PrivateApt, find_mirror
from zstools.command import run
from zstools.errors import SourceError
from zstools.progress import BuildProgress

# 600 MB that no guest compiles; Kconfig files stay.
_EXCLUDED = "*/drivers/gpu/*.[ch]"
_PACKAGE = re.compile(r"linux-source-(\d+\.\d+)")


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
    if not parts.get("VERSION"):
        raise SourceError(f"{tree} is no kernel tree, by its Makefile: name its top directory")
    if not (tree / "mm" / "zsmalloc.c").is_file():
        raise SourceError(f"{tree} is a kernel without mm/zsmalloc.c: nothing to test")
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


def release_of(linux: Path | None) -> str | None:
    """Return the 7.3 of `linux-source-7.3`, a Debian package given instead of a tree."""
    found = _PACKAGE.fullmatch(str(linux)) if linux is not None else None
    return found[1] if found is not None else None


def is_cached(cache: Path, supported: list[str]) -> bool:
    """Tell whether a Debian source of one of these versions is in the cache."""
    return _newest_cached(cache / "sources", supported) is not None


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
