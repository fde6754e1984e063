# SPDX-License-Identifier: GPL-2.0-only
"""Take up what a killed campaign left: processes by their recorded names, counts and inputs."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from zsfuzz.campaign.found import Found
from zsfuzz.campaign.identity import Identity
from zsfuzz.campaign.layout import Layout
from zsfuzz.campaign.state import Row, State
from zsfuzz.campaign.worker import HITS, NAME, STATS
from zsfuzz.corpus.keeper import InputKeeper
from zsfuzz.coverage import read_hits
from zsfuzz.findings.triage import TROUBLES
from zsfuzz.mutation.rawbytes import DEFAULT_LIMIT
from zsfuzz.program import Program
from zsfuzz.stats import read_stats

KILLED = "killed with the campaign"
END_LIMIT = 30.0  # seconds until a killed process must be gone


def take_up(state: State, save: Callable[[Program], object]) -> tuple[int, int]:
    """End what still runs, then enter counts and save inputs; returns workers and programs.

    Only the holder of the campaign's lock may call it.  To be interrupted in it loses nothing: the
    scratch folders are removed last.
    """
    layout = state.layout
    left = state.rows("SELECT * FROM workers WHERE ended IS NULL")
    if not layout.is_copy:
        for row in left:
            _end(row)
    saved = sum(keep_all(folder, _limit(folder), save) for folder in sorted(layout.work.glob("*/")))
    Found(state).look(state.seconds())
    with state.transaction():
        for row in left:
            _enter(state, row, layout.work / str(row["id"]))
        state.execute("UPDATE runs SET ended = 'killed' WHERE ended IS NULL")
    remove_scratch(layout)
    return len(left), saved


def remove_scratch(layout: Layout) -> None:
    """Remove what is there only while a campaign runs."""
    for folder in (layout.work, layout.pools):
        shutil.rmtree(folder, ignore_errors=True)
    layout.supervisor.unlink(missing_ok=True)


def keep_all(
    folder: Path,
    limit: int,
    save: Callable[[Program], object],
    inputs: InputKeeper | None = None,
) -> int:
    """Save what an ended worker left in its folder: inputs, and what it was killed looking into."""
    inputs = inputs or InputKeeper(folder / "inputs", limit, save)
    return inputs.keep() + InputKeeper(folder / TROUBLES, limit, save).keep()


def _end(row: Row) -> None:
    if row["pid"] and row["birth"]:
        process = Identity(row["pid"], row["birth"])
        if process.send(signal.SIGKILL):
            process.wait(END_LIMIT)


def _enter(state: State, row: Row, folder: Path) -> None:
    state.worker_left(row, read_stats(folder / STATS), read_hits(folder / HITS))
    state.fold_hits(row["kernel"], row["id"])
    state.update("workers", row["id"], ended=KILLED)


def _limit(folder: Path) -> int:
    try:
        limit: int = json.loads((folder / f"{NAME}.json").read_bytes())["max_operations"]
    except (OSError, ValueError, KeyError):
        return DEFAULT_LIMIT
    return limit


def clean(root: Path) -> tuple[int, int]:
    """Take up what is left without starting anything: for `campaign stop`."""
    from zsfuzz.campaign.corpusstore import CorpusStore  # noqa: PLC0415 - reads the whole corpus

    layout = Layout(root)
    with State.write(root) as state:
        store = CorpusStore(layout.corpus, DEFAULT_LIMIT, layout.damaged)
        found = take_up(state, store.add)
        store.close()
        return found
