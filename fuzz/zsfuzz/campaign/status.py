# SPDX-License-Identifier: GPL-2.0-only
"""How a campaign is doing: read from its directory while it runs, after its end, after a kill."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zsfuzz.campaign.identity import Identity
from zsfuzz.campaign.layout import Layout
from zsfuzz.campaign.state import State
from zsfuzz.corpusfile import SUFFIX

EVENTS = 10  # the last ones, in a status
RATE_SECONDS = 30.0  # over which the rate is taken
Status = dict[str, Any]


def supervisor_of(root: Path) -> Identity | None:
    """Name the process that supervises this directory; None if it has ended, or is elsewhere.

    In a copy of the directory of a campaign that runs there is none.
    """
    layout = Layout(root)
    facts = layout.supervisor_facts()
    try:
        found = Identity(int(facts["pid"]), str(facts["birth"]))
        here = (facts["host"], facts["place"]) == (socket.gethostname(), layout.place)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if here and found.alive else None


def read_status(root: Path) -> Status:
    """Read everything; raises CampaignMissing, CampaignBusy or CampaignDamaged."""
    layout = Layout(root)
    with State.read(root) as state:
        return status_of(state) | {
            "corpus": sum(1 for path in layout.corpus.glob(f"[!.]*{SUFFIX}")),
            "state": _state(root, state),
        }


def _state(root: Path, state: State) -> str:
    runs = state.rows("SELECT ended FROM runs ORDER BY id DESC LIMIT 1")
    ended = runs[0]["ended"] if runs else None
    if ended:
        return str(ended)
    return "running" if supervisor_of(root) else "killed"


def status_of(state: State, known: Mapping[str, int] | None = None) -> Status:
    """Give all that the database tells; `known` are the totals, if who asks has them."""
    totals = dict(known) if known is not None else state.totals()
    seconds = state.seconds()
    kernels = _coverage(state)
    fresh = state.rows("SELECT max(at) AS at FROM coverage")[0]["at"] or 0.0
    return {
        "seconds": round(seconds, 3),
        "runs": state.rows("SELECT COUNT(*) AS n FROM runs")[0]["n"],
        "programs": totals.get("programs", 0),
        "operations": totals.get("operations", 0),
        "programs_per_second": _rate(state),
        "findings": [
            {**row, "path": str(state.layout.root.absolute() / row["path"])}
            for row in state.rows("SELECT * FROM findings ORDER BY at")
        ],
        "coverage": _sum_of(kernels) | {"kernels": kernels},
        "seconds_since_new_coverage": round(seconds - fresh, 3),
        "workers": _workers(state),
        "workers_ended": _ended(state),
        "restarts": totals.get("restarts", 0),
        "killed": totals.get("killed", 0),
        "counters": totals,
        "events": state.rows(
            "SELECT at, kind, worker, text FROM events ORDER BY id DESC LIMIT ?", EVENTS
        )[::-1],
    }


def _rate(state: State) -> float:
    rows = state.rows("SELECT at, programs FROM timeline ORDER BY at DESC LIMIT 1")
    if not rows:
        return 0.0
    last = rows[0]
    query = "SELECT at, programs FROM timeline WHERE at >= ? ORDER BY at LIMIT 1"
    first = state.rows(query, last["at"] - RATE_SECONDS)[0]
    spent = last["at"] - first["at"]
    return round((last["programs"] - first["programs"]) / spent, 1) if spent > 0 else 0.0


def _coverage(state: State) -> list[dict[str, Any]]:
    best = "SELECT kernel, max(sites) AS s, max(lines) AS l, max(branches) AS b FROM coverage"
    reached = {row["kernel"]: row for row in state.rows(f"{best} GROUP BY kernel")}
    return [
        {
            "kernel": row["key"],
            "design": row["design"],
            "flavour": row["flavour"],
            "variant": row["variant"] or "default",
            **{
                name: {
                    "reached": reached.get(row["key"], {}).get(name[0], 0),
                    "total": row[f"{name}_total"],
                }
                for name in ("lines", "branches", "sites")
            },
        }
        for row in state.rows("SELECT * FROM kernels ORDER BY design, flavour, variant")
    ]


def _sum_of(kernels: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Add up over all kernels, so that the figure grows whenever one of them does."""
    return {
        name: {what: sum(k[name][what] for k in kernels) for what in ("reached", "total")}
        for name in ("lines", "branches", "sites")
    }


def _workers(state: State) -> list[dict[str, Any]]:
    return state.rows(
        "SELECT workers.id, slot, design, flavour, iif(variant = '', 'default', variant) variant,"
        " faults, place, pid, workers.at, seconds, programs, operations,"
        " ifnull(counters ->> '$.restarts', 0) AS restarts"
        " FROM workers JOIN kernels ON kernels.key = kernel"
        " WHERE ended IS NULL ORDER BY slot"
    )


def _ended(state: State) -> dict[str, int]:
    rows = state.rows(
        "SELECT ended, COUNT(*) AS n FROM workers WHERE ended IS NOT NULL GROUP BY ended"
    )
    return {row["ended"]: row["n"] for row in rows}
