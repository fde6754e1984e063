# SPDX-License-Identifier: GPL-2.0-only
"""Write files so that a kill at any point leaves the old content or the new, never a part."""

import os
from pathlib import Path
from secrets import token_hex

from zsfuzz.errors import OutputLost

TEMPORARY = ".tmp-"  # such names are never read, and may be deleted when no run is going


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable; raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and make its content durable; raises OSError."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def make_directory(path: Path) -> None:
    """Make a directory and its parents, if they are missing; raises OutputLost."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputLost(path, error) from error


def replace_file(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Put `data` at `path` in one step; raises OutputLost if the disk refuses.

    The directory must exist.  Unless `durable`, a power cut may lose the file, or its content.
    """
    temporary = path.parent / f"{TEMPORARY}{token_hex(8)}"
    try:
        try:
            if durable:
                write_synced(temporary, data)
            else:
                temporary.write_bytes(data)
            temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        if durable:
            sync_directory(path.parent)
    except OSError as error:
        raise OutputLost(path, error) from error
