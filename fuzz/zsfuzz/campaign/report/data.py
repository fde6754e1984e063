# SPDX-License-Identifier: GPL-2.0-only
"""What the report of a campaign tells, read from its directory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zsfuzz.annotate.counts import SourceCounts, count_source, merge
from zsfuzz.campaign.report.known import known_bugs
from zsfuzz.campaign.state import State

MOST_REPORT = 256 << 10  # bytes shown of a finding's report
MOST_EVENTS = 200


@dataclass(frozen=True)
class FindingShown:
    """A finding with its report; `known` names planted bugs that show by the same title."""

    outcome: str
    title: str
    design: str
    path: str
    at: float
    seen: int
    report: str
    known: tuple[str, ...]


@dataclass(frozen=True)
class KernelShown:
    """A kernel with the last of its coverage figures; `patches` are those beyond the design's."""

    name: str
    key: str
    version: str
    lines: str
    branches: str
    patches: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """Everything that the page shows but plots."""

    seconds: float
    totals: Mapping[str, int]
    runs: tuple[dict[str, Any], ...]
    kernels: tuple[KernelShown, ...]
    findings: tuple[FindingShown, ...]
    events: tuple[dict[str, Any], ...]
    patches: tuple[tuple[str, str], ...]  # given to `campaign start`: name, text
    sources: tuple[tuple[SourceCounts, Path], ...]


def read_told(state: State) -> Told:
    """Read a campaign, whether it runs or not; what is missing on the disk is left out."""
    runs = tuple(state.rows("SELECT * FROM runs ORDER BY id"))
    kernels = state.rows("SELECT * FROM kernels ORDER BY design, flavour, variant")
    return Told(
        seconds=state.seconds(),
        totals=state.totals(),
        runs=runs,
        kernels=tuple(_kernel(state, row) for row in kernels),
        findings=tuple(_findings(state)),
        events=tuple(
            state.rows("SELECT * FROM events ORDER BY id DESC LIMIT ?", MOST_EVENTS)[::-1]
        ),
        patches=tuple(_patches(runs)),
        sources=tuple(_sources(state, kernels)),
    )


def name_of(row: Mapping[str, Any]) -> str:
    """Name a kernel for people."""
    return " ".join(filter(None, (row["design"], row["flavour"], row["variant"])))


def _kernel(state: State, row: Mapping[str, Any]) -> KernelShown:
    query = "SELECT lines, branches FROM coverage WHERE kernel = ? ORDER BY at DESC LIMIT 1"
    last = (state.rows(query, row["key"]) or [{"lines": 0, "branches": 0}])[0]
    return KernelShown(
        name=name_of(row),
        key=row["key"],
        version=row["version"],
        lines=f"{last['lines']} of {row['lines_total']}",
        branches=f"{last['branches']} of {row['branches_total']}",
        patches=_patch_names(state.layout.kernels / row["key"] / "manifest.json"),
    )


def _patch_names(manifest: Path) -> tuple[str, ...]:
    try:
        found = json.loads(manifest.read_bytes())["patches"]
        return tuple(str(patch["name"]) for patch in found)
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _findings(state: State) -> Iterator[FindingShown]:
    known = known_bugs()
    for row in state.rows("SELECT * FROM findings ORDER BY at"):
        report = _text(state.layout.root / row["path"] / "report.txt")
        bugs = known.get(row["title"], ())
        yield FindingShown(**{k: row[k] for k in _SHOWN}, report=report, known=tuple(bugs))


_SHOWN = ("outcome", "title", "design", "path", "at", "seen")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_REPORT).decode(errors="replace")
    except OSError as error:
        return f"({path.name} cannot be read: {error.strerror})"


def _patches(runs: tuple[dict[str, Any], ...]) -> Iterator[tuple[str, str]]:
    told: set[str] = set()
    for run in runs:
        for name in json.loads(run["options"]).get("patches", ()):
            if name not in told:
                told.add(name)
                yield name, _text(Path(name))


def _sources(state: State, kernels: list[dict[str, Any]]) -> Iterator[tuple[SourceCounts, Path]]:
    counts: list[SourceCounts] = []
    where: dict[str, Path] = {}
    for row in kernels:
        folder = state.layout.kernels / row["key"]
        try:
            text = (folder / "zsmalloc.c").read_text()
            counts.append(
                count_source(folder / "layout.json", text, state.hits(row["key"]), name_of(row))
            )
        except (OSError, ValueError, KeyError):
            continue
        where.setdefault(text, (folder / "zsmalloc.c").absolute())
    for merged in merge(counts):
        yield merged, where[merged.text]
