# SPDX-License-Identifier: GPL-2.0-only
"""Compile the modules that every program passes through with mypyc: same source, twice as fast.

These are the reference model, the decoder and the mutator.  Compiled classes cannot be patched by
tests that plant bugs, so only worker processes use the result; all else imports the plain source.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import sysconfig
from contextlib import suppress
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

    None if there is no mypyc, C compiler or Python header; plain Python then does the same work.
    """
    progress = progress or Silent()
    target = cache_dir() / "fast" / _key()
    if (target / "whole").is_file():
        return target
    if not _can_compile():
        return None
    progress.begin("compile the model and the mutator")
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    try:
        _compile(partial, progress)
        (partial / "whole").touch()
        with suppress(OSError):
            partial.rename(target)  # unless another process was quicker
    except CommandError:
        return None
    finally:
        progress.end()
        shutil.rmtree(partial, ignore_errors=True)
    return target if (target / "whole").is_file() else None


def _source(package: str) -> Path:
    return project_root() / PACKAGES[package][0] / package


def _key() -> str:
    total = hashlib.sha256(f"{sys.version}{_version('mypy')}".encode())
    for package in PACKAGES:
        for path in sorted(_source(package).rglob("*.py")):
            total.update(f"{path.name}\0".encode() + path.read_bytes())
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


def _compile(target: Path, progress: BuildProgress) -> None:
    sources = []
    for package, (_, modules) in PACKAGES.items():
        shutil.copytree(
            _source(package), target / package, ignore=shutil.ignore_patterns("__pycache__")
        )
        names = modules or _modules_of(_source(package))
        sources += [f"{package}/{name}.py" for name in names]
    (target / "setup.py").write_text(_SETUP.format(sources=sources))
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    run(command, progress=progress, cwd=target)
    shutil.rmtree(target / "build")
