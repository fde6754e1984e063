# SPDX-License-Identifier: GPL-2.0-only
"""Know where the project's own files and the cache are."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

from zstools.errors import ZsToolsError

CACHE_VARIABLE = "ZSFUZZ_CACHE"


def project_root() -> Path:
    """Return the checkout that these tools were installed from (pip install -e)."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "kmod" / "Kbuild").is_file():
        raise ZsToolsError(f"{root} has no kmod/: install zsfuzz from its checkout by `make setup`")
    return root


def begin_dirs() -> tuple[Path, ...]:
    """Return the directories of programs to begin with: docs/CORPUS.md says what they are for."""
    corpus = project_root() / "corpus"
    return corpus / "examples", corpus / "seeds"


def kmod_dir() -> Path:
    """Return the module's sources."""
    return project_root() / "kmod"


def series_dir() -> Path:
    """Return the directory that has one directory of patches for each supported version."""
    return kmod_dir() / "kernel" / "series"


def config_dir() -> Path:
    """Return the directory of the configuration fragments."""
    return kmod_dir() / "kernel" / "config"


def cache_dir() -> Path:
    """Return the cache, made if need be: $ZSFUZZ_CACHE or the user's cache directory."""
    chosen = os.environ.get(CACHE_VARIABLE)
    path = Path(chosen).expanduser().absolute() if chosen else user_cache_path("zsfuzz")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = f"set {CACHE_VARIABLE} to a directory that you can write"
        raise ZsToolsError(f"cannot make the cache {path}: {error.strerror}; {hint}") from error
    return path
