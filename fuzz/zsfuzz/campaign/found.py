# SPDX-License-Identifier: GPL-2.0-only
"""Enter the findings that workers have saved as folders into the database."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from zsfuzz.campaign.state import Row, State
from zsfuzz.findings.store import fold_sightings, list_findings


class Found:
    """All findings of a campaign; a folder without a readable finding.json stays as it was."""

    def __init__(self, state: State) -> None:
        self._state = state
        rows = state.rows("SELECT * FROM findings")
        self.rows: dict[tuple[str, str], Row] = {(r["design"], r["id"]): r for r in rows}

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def sightings(self) -> int:
        """Count how often any of them was seen."""
        return sum(row["seen"] for row in self.rows.values())

    def look(self, at: float) -> list[Row]:
        """Enter what is new, was seen again or is gone, in a transaction; gives what is new."""
        layout, before = self._state.layout, dict(self.rows)
        changed = [
            self._row(folder.name, facts, at)
            for folder in sorted(layout.findings.glob("[!.]*/"))
            for facts in list_findings(layout.root, layout.findings_of(folder.name))
        ]
        changed = [row for row in changed if self.rows.get((row["design"], row["id"])) != row]
        gone = [key for key, row in before.items() if not (layout.root / row["path"]).is_dir()]
        with self._state.transaction():
            for row in changed:
                self._state.insert("findings", **row)
            for key in gone:  # a flaky one that came again after all has another folder now
                self._state.execute("DELETE FROM findings WHERE design = ? AND id = ?", *key)
        for key in gone:
            del self.rows[key]
        self.rows |= {(row["design"], row["id"]): row for row in changed}
        return [row for row in changed if (row["design"], row["id"]) not in before]

    def fold(self) -> None:
        """Add up the counts of workers of this machine that have ended; raises OutputLost."""
        for folder in self._state.layout.findings.glob("[!.]*/[!.]*/"):
            fold_sightings(folder)

    def _row(self, design: str, facts: Mapping[str, Any], at: float) -> Row:
        number = str(facts["id"])
        known = self.rows.get((design, number)) or {
            "design": design,
            "id": number,
            "outcome": facts["outcome"],
            "title": facts["title"],
            "path": f"{self._state.layout.findings_of(design)}/{number}",
            "at": at,
            "wall": time.time(),
            "seen": 0,
        }
        return {**known, "seen": max(facts["seen"], known["seen"])}
