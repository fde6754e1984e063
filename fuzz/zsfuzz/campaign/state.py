# SPDX-License-Identifier: GPL-2.0-only
"""What is known of a campaign, as SQLite keeps it: one process writes, any number read.

All that a worker did is written as its own total so far, never as a difference: to write the same
again, after a kill say, changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from zsfuzz.campaign.database import (
    CampaignBusy,
    CampaignDamaged,
    open_for_reading,
    open_for_writing,
)
from zsfuzz.campaign.layout import Layout

Row = dict[str, Any]


class State:
    """The database of one campaign; see schema.py for what is in it."""

    def __init__(self, root: Path, connection: sqlite3.Connection) -> None:
        self.layout = Layout(root)
        self._connection = connection

    @classmethod
    def read(cls, root: Path) -> Self:
        """Open beside whoever writes; raises CampaignMissing, CampaignBusy or CampaignDamaged."""
        return cls(root, open_for_reading(root))

    @classmethod
    def write(cls, root: Path) -> Self:
        """Open as the only writer; sets aside what is damaged, and notes that as the first event.

        Raises sqlite3.OperationalError.
        """
        connection, damage = open_for_writing(root)
        state = cls(root, connection)
        if damage:
            state.insert("events", at=0.0, wall=time.time(), kind="damage", text=damage)
        return state

    def close(self) -> None:
        """Close the database; what was committed stays."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- reading ----------------------------------------------------------------------------

    def rows(self, query: str, *values: object) -> list[Row]:
        """Give the rows of a query as dictionaries; raises CampaignBusy or CampaignDamaged."""
        try:
            return [dict(row) for row in self._connection.execute(query, values)]
        except sqlite3.OperationalError as error:
            raise CampaignBusy(f"{self.layout.database}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise CampaignDamaged(f"{self.layout.database}: {error}") from error

    def seconds(self) -> float:
        """Say how long all runs took together."""
        found = self.rows("SELECT at + seconds AS seconds FROM runs ORDER BY id DESC LIMIT 1")
        return float(found[0]["seconds"]) if found else 0.0

    def totals(self) -> dict[str, int]:
        """Add up the counters of all workers, those that have ended too; reads every row."""
        query = (
            "SELECT one.key AS name, SUM(one.value) AS n"
            " FROM workers, json_each(workers.counters) AS one GROUP BY one.key"
        )
        return {"programs": 0, "operations": 0, **{r["name"]: r["n"] for r in self.rows(query)}}

    def hits(self, kernel: str) -> list[int]:
        """Count how often each coverage site of a kernel was reached; empty if none was."""
        query = "SELECT counts FROM hits WHERE kernel = ?"
        return add_up([json.loads(row["counts"]) for row in self.rows(query, kernel)])

    # ---- writing ----------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all or nothing; raises sqlite3.OperationalError if the disk refuses."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk may have ended it
                self._connection.execute("ROLLBACK")
            raise

    def insert(self, table: str, **columns: object) -> int:
        """Insert a row, or put it in the place of one with the same key; returns its number."""
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        cursor = self._connection.execute(
            f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 - our own names
            tuple(columns.values()),
        )
        return cursor.lastrowid or 0

    def update(self, table: str, number: int, **columns: object) -> None:
        """Change columns of the row with this `id`."""
        changes = ", ".join(f"{name} = ?" for name in columns)
        self._connection.execute(
            f"UPDATE {table} SET {changes} WHERE id = ?",  # noqa: S608 - our own names
            (*columns.values(), number),
        )

    def execute(self, statement: str, *values: object) -> None:
        """Run one statement of SQL."""
        self._connection.execute(statement, values)

    def worker_did(self, worker: int, counters: Mapping[str, int]) -> None:
        """Write what a worker has done so far."""
        self.update(
            "workers", worker,
            seconds=counters.get("microseconds", 0) / 1e6,
            programs=counters.get("programs", 0),
            operations=counters.get("operations", 0),
            counters=json.dumps({name: n for name, n in counters.items() if n}),
        )  # fmt: skip

    def worker_reached(self, worker: int, kernel: str, counts: Sequence[int]) -> None:
        """Write how often a worker that still runs has reached each coverage site so far."""
        self.insert("hits", kernel=kernel, worker=worker, counts=json.dumps(list(counts)))

    def worker_left(self, row: Row, counters: Mapping[str, int], hits: Sequence[int]) -> None:
        """Write the last of a worker whose supervisor is gone; its `row` may know of more."""
        if counters.get("programs", 0) >= row["programs"]:
            self.worker_did(row["id"], counters)
        if hits:
            self.worker_reached(row["id"], row["kernel"], hits)

    def fold_hits(self, kernel: str, worker: int) -> None:
        """Add what an ended worker has reached to what all others have; to do twice is harmless."""
        query = "SELECT counts FROM hits WHERE kernel = ? AND worker IN (0, ?)"
        total = add_up([json.loads(row["counts"]) for row in self.rows(query, kernel, worker)])
        if total:
            self.insert("hits", kernel=kernel, worker=0, counts=json.dumps(total))
        self._connection.execute(
            "DELETE FROM hits WHERE kernel = ? AND worker = ?", (kernel, worker)
        )


def add_up(parts: Sequence[Sequence[int]]) -> list[int]:
    """Add lists of counts of equal length, number by number."""
    return [sum(counts) for counts in zip(*parts, strict=True)]
