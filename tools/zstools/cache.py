# SPDX-License-Identifier: GPL-2.0-only
"""Keep built kernels under a key of everything that went into them.

An entry counts only once its manifest.json is there, which is renamed into place last.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zstools.progress import BuildProgress

FORMAT = 1  # of the cache: raise it when the builder builds something else from the same inputs
_MANIFEST = "manifest.json"

Manifest = dict[str, Any]


def key_of(inputs: Manifest) -> str:
    """Return the key of JSON-able inputs."""
    text = json.dumps({**inputs, "format": FORMAT}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def entries_dir(cache: Path) -> Path:
    """Return the directory that has one directory for each kernel."""
    return cache / "kernels"


def read_manifest(entry: Path) -> Manifest | None:
    """Return an entry's manifest, or None if the entry is not whole."""
    try:
        manifest = json.loads((entry / _MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and manifest.get("format") == FORMAT else None


def list_manifests(cache: Path) -> list[Manifest]:
    """Return the manifests of all whole entries, oldest first."""
    found = [read_manifest(entry) for entry in entries_dir(cache).glob("*")]
    return sorted((m for m in found if m is not None), key=lambda m: str(m["built"]))


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def write_manifest(entry: Path, manifest: Manifest) -> None:
    """Make an entry count; it must name its format."""
    write_atomically(entry / _MANIFEST, json.dumps(manifest, indent=1))


@contextmanager
def builder_lock(cache: Path, progress: BuildProgress) -> Iterator[int]:
    """Hold the cache for one builder, waiting for another; yield the descriptor.

    Children that inherit the descriptor keep the lock, so a make that outlives its killed parent
    is waited for.
    """
    descriptor = os.open(cache / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.begin(f"wait for another build in {cache}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            progress.end()
        yield descriptor
    finally:
        os.close(descriptor)
