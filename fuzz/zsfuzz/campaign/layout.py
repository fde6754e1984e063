# SPDX-License-Identifier: GPL-2.0-only
"""Where things are in a campaign's directory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Layout:
    """Name the files and folders of a campaign; docs/CAMPAIGN.md says what is in them."""

    root: Path

    @property
    def database(self) -> Path:
        """SQLite, see schema.py."""
        return self.root / "state.sqlite"

    @property
    def totals(self) -> Path:
        """Totals as JSON, from which a damaged database is begun anew."""
        return self.root / "totals.json"

    @property
    def supervisor(self) -> Path:
        """Which process supervises; there only while it runs, or after it was killed."""
        return self.root / "supervisor.json"

    def supervisor_facts(self) -> dict[str, Any]:
        """Read what is on record of the supervisor; empty if that is nothing, or unreadable."""
        try:
            facts = json.loads(self.supervisor.read_bytes())
        except (OSError, ValueError):
            return {}
        return facts if isinstance(facts, dict) else {}

    @property
    def place(self) -> str:
        """Tell the directory from a copy of it, whose records name processes of the other one."""
        stat = self.root.stat()
        return f"{stat.st_dev}:{stat.st_ino}"

    @property
    def is_copy(self) -> bool:
        """Tell whether the processes that are on record are those of another directory."""
        return bool(self.supervisor_facts().get("place", self.place) != self.place)

    @property
    def corpus(self) -> Path:
        """All programs that brought new coverage: <digest>.msgpack."""
        return self.root / "corpus"

    @property
    def findings(self) -> Path:
        """One folder for each design, in which each finding has one of its own."""
        return self.root / "findings"

    @property
    def kernels(self) -> Path:
        """What reports need of each kernel: <key>/layout.json, zsmalloc.c, manifest.json."""
        return self.root / "kernels"

    @property
    def work(self) -> Path:
        """Scratch folders of workers: work/<number of the worker>; emptied by the next start."""
        return self.root / "work"

    @property
    def pools(self) -> Path:
        """What workers learn from: pools/<number of the worker>, see pool.py."""
        return self.root / "pools"

    def findings_of(self, design: str) -> str:
        """Name the folder of a design's findings, relative to the root."""
        return f"findings/{design}"

    @property
    def damaged(self) -> Path:
        """Corpus files that a power cut has cut short."""
        return self.root / "damaged"
