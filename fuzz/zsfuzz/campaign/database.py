# SPDX-License-Identifier: GPL-2.0-only
"""Open the database of a campaign, and begin it anew when a power cut has damaged it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from zsfuzz.campaign.layout import Layout
from zsfuzz.campaign.schema import TABLES, VERSION
from zsfuzz.errors import ZsfuzzError

BUSY = 5.0  # seconds to wait for another process that writes
_BESIDE = ("", "-wal", "-shm")


class CampaignMissing(ZsfuzzError):
    """There is no campaign in the directory: a typing error, or it was never started."""


class CampaignBusy(ZsfuzzError):
    """The database cannot be read now: another process holds it, or the disk is full."""


class CampaignDamaged(ZsfuzzError):
    """The database cannot be read: a power cut, a damaged disk, or another version of zsfuzz."""


def open_for_reading(root: Path) -> sqlite3.Connection:
    """Open the database beside whoever writes it; a Campaign... error otherwise."""
    path = Layout(root).database
    if not path.is_file():
        raise CampaignMissing(f"{root}: no campaign there: begin one with `zsfuzz campaign start`")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY)
        _check_version(connection, path)
    except sqlite3.OperationalError as error:
        raise CampaignBusy(f"{path}: {error}: try again, or look at the disk") from error
    except sqlite3.DatabaseError as error:
        raise CampaignDamaged(
            f"{path}: {error}: `zsfuzz campaign start {root}` keeps the file and begins a new one"
        ) from error
    connection.row_factory = sqlite3.Row
    return connection


def open_for_writing(root: Path) -> tuple[sqlite3.Connection, str]:
    """Open or make the database, for one process; also say what was wrong with the last one."""
    path = Layout(root).database
    try:
        return _open(path), ""
    except sqlite3.OperationalError:
        raise  # a full or read-only disk: nothing that a new database would cure
    except sqlite3.DatabaseError as error:
        kept = _set_aside(path)
        return _open(path), f"the database was damaged ({error}) and is kept as {kept.name}"


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A kill loses nothing then; a power cut may lose the last transactions, but breaks nothing.
        connection.execute("PRAGMA synchronous = NORMAL")
        found = connection.execute("PRAGMA quick_check").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found.splitlines()[-1])  # noqa: TRY301 - as SQLite does
        connection.executescript(TABLES)
        if _version(connection) == 0:
            connection.execute(f"PRAGMA user_version = {VERSION}")
        _check_version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version != VERSION:
        raise CampaignDamaged(
            f"{path}: version {version}, but this zsfuzz knows {VERSION}: "
            "use the zsfuzz that began it, or another directory"
        )


def _set_aside(path: Path) -> Path:
    number = 1
    while (kept := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in _BESIDE:
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(kept.with_name(kept.name + suffix))
    return kept
