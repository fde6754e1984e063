# SPDX-License-Identifier: GPL-2.0-only
"""Compile the modules that every program passes through with mypyc: same source, twice as fast.

These are the reference model, the decoder and the mutator.  Compiled classes cannot be patched by
tests that plant bugs, so only worker processes use the result; all else imports the plain source.
"""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from zstools.command import run
from zstools.errors import CommandError
from zstools.paths import cache_dir, project_root
from zstools.progress import BuildProgress, Silent

# Package: where its source is, and which of its modules to compile (none named: all).
PACKAGES = {
    "zsmodel": ("reference", ()),
    "zsfuzz": (
        "fuzz",
        tuple(
            f"mutation/{name}"
            for name in ("ahead", "lcg", "mutator", "patterns", "rawbytes", "sizes", "swappatterns")
        ),
    ),
}
_SETUP = """\
from mypyc.build import mypycify
from setuptools import setup

setup(name="zsfuzz-fast", packages=[], ext_modules=mypycify({sources!r}, opt_level="3"))
"""


def ensure_fast_modules(progress: BuildProgress | None = None) -> Path | None:
    """Return a directory for PYTHONPATH that has the compiled modules, or None.

    It has all other modules as well, as they are now; what is compiled is compiled again only if
    it, or what it imports, has changed.  None if there is no mypyc, C compiler or Python header;
    plain Python then does the same work.
    """
    progress = progress or Silent()
    target = cache_dir() / "fast" / _key(_all_sources())
    if (target / "whole").is_file():
        return target
    compiled = _ensure_compiled(progress)
    if compiled is None:
        return None
    with _whole_or_not(target) as partial:
        _copy_sources(partial)
        shutil.copytree(compiled, partial, dirs_exist_ok=True)
    return target


def _ensure_compiled(progress: BuildProgress) -> Path | None:
    """Return a directory that has the compiled modules alone, or None if they can't be had."""
    target = cache_dir() / "fast" / f"compiled-{_key(_compiler_input())}"
    if (target / "whole").is_file():
        return target
    if not _can_compile():
        return None
    progress.begin("compile the model and the mutator")
    try:
        with _whole_or_not(target) as partial:
            _compile(partial, progress)
    except CommandError:
        return None
    finally:
        progress.end()
    return target


@contextmanager
def _whole_or_not(target: Path) -> Iterator[Path]:
    """Yield a directory to fill, which then gets its name, unless another process was quicker."""
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    try:
        yield partial
        (partial / "whole").touch()
        with suppress(OSError):
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _source(package: str) -> Path:
    return project_root() / PACKAGES[package][0] / package


def _all_sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted(_source(package).rglob("*.py"))]


def _to_compile() -> list[str]:
    """Name the files to compile as package/module.py."""
    return [
        f"{package}/{name}.py"
        for package, (_, names) in PACKAGES.items()
        for name in names or _modules_of(_source(package))
    ]


def _compiler_input() -> list[Path]:
    """List the modules to compile and all that they import: their types are compiled in."""
    waiting = [project_root() / PACKAGES[name.split("/")[0]][0] / name for name in _to_compile()]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path)
    return sorted(found)


def _imports(path: Path) -> Iterator[Path]:
    """Name the files of our packages that a module imports, by its text."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                yield from _files_of(f"{node.module}.{name.name}")


def _files_of(name: str) -> Iterator[Path]:
    """Name the files behind `package.module.thing`: a module, and the packages that it is in."""
    first, *rest = name.split(".")
    if first not in PACKAGES:
        return
    place = _source(first)
    for part in (*rest, ""):
        if (place / "__init__.py").is_file():
            yield place / "__init__.py"
        place = place / part
        if part and place.with_suffix(".py").is_file():
            yield place.with_suffix(".py")


def _key(sources: Iterable[Path]) -> str:
    total = hashlib.sha256(f"{sys.version}{_version('mypy')}".encode())
    for path in sources:
        total.update(f"{path.relative_to(project_root())}\0".encode() + path.read_bytes())
    return total.hexdigest()[:12]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _can_compile() -> bool:
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    return bool(_version("mypy")) and headers.is_file() and shutil.which("gcc") is not None


def _modules_of(package: Path) -> list[str]:
    """List all modules, packages' own files left out, as paths without a suffix."""
    found = (path.relative_to(package) for path in package.rglob("[a-z]*.py"))
    return sorted(path.with_suffix("").as_posix() for path in found)


def _copy_sources(target: Path) -> None:
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(_source(package), target / package, ignore=ignored)


def _compile(target: Path, progress: BuildProgress) -> None:
    """Compile in a copy of all sources, and leave nothing but what Python loads."""
    scratch = target.with_name(f"{target.name}.source")
    try:
        _copy_sources(scratch)
        (scratch / "setup.py").write_text(_SETUP.format(sources=_to_compile()))
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        run(command, progress=progress, cwd=scratch)
        shutil.rmtree(scratch / "build")
        for path in scratch.rglob("*.so"):
            place = target / path.relative_to(scratch)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
