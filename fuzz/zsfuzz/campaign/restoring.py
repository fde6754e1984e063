# SPDX-License-Identifier: GPL-2.0-only
"""Totals beside the database, from which it learns what a power cut made it forget."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from zsfuzz.campaign.state import State

RESTORED = "restored"


@dataclass(frozen=True)
class Totals:
    """What totals.json has: time, the last worker's number, all counters, and the options."""

    seconds: float = 0.0
    wall: float = 0.0
    last_worker: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    options: str = ""  # JSON

    @classmethod
    def read(cls, path: Path) -> Totals:
        """Read the file; zeros if it is not there, or damaged."""
        try:
            known = json.loads(path.read_bytes())
            counters = {str(name): int(count) for name, count in known["counters"].items()}
            numbers = float(known["seconds"]), float(known["wall"]), int(known["last_worker"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()
        return cls(*numbers, counters, str(known.get("options", "")))


def restore(state: State) -> int:
    """Enter what the database lacks as a run and a worker that have ended; returns programs."""
    known, present = Totals.read(state.layout.totals), state.totals()
    lacks = {name: n - present.get(name, 0) for name, n in known.counters.items()}
    lacks = {name: n for name, n in lacks.items() if n > 0}
    last = state.rows("SELECT max(id) AS id FROM workers")[0]["id"] or 0
    if not lacks and known.seconds <= state.seconds() and known.last_worker <= last:
        return 0
    with state.transaction():
        if known.seconds > state.seconds():
            run = state.insert(
                "runs", wall=known.wall, at=known.seconds, pid=0, host="",
                options=last_options(state) or "{}", ended=RESTORED,
            )  # fmt: skip
        else:
            run = 0
        worker = state.insert(
            "workers", id=max(last, known.last_worker) + 1, run=run, slot=-1, kernel="", faults="",
            place="", at=0, ended=RESTORED,
        )  # fmt: skip
        state.worker_did(worker, lacks)
    return lacks.get("programs", 0)


def last_options(state: State) -> str:
    """Give the options of the last start as JSON, though the database has forgotten it."""
    rows = state.rows("SELECT options FROM runs ORDER BY id DESC LIMIT 1")
    return str(rows[0]["options"]) if rows else Totals.read(state.layout.totals).options
