# SPDX-License-Identifier: GPL-2.0-only
"""The tables of `zsfuzz bench cost`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def cost_as_dict(cost: Mapping[str, Any]) -> dict[str, Any]:
    """Give all figures as plain data: bytes, and nanoseconds."""
    return {
        "sizes": {design: asdict(sizes) for design, sizes in cost["sizes"].items()},
        "memory": {
            name: {design: asdict(memory) for design, memory in found.items()}
            for name, found in cost["memory"].items()
        },
        "nanoseconds": cost["times"],
    }


def render_cost(cost: Mapping[str, Any]) -> RenderableType:
    """Lay out sizes, bytes for each object, and times as ratios to the first design."""
    blank = Text("")
    return Group(blank, _sizes(cost), blank, _memory(cost), blank, _times(cost))


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _sizes(cost: Mapping[str, Any]) -> Table:
    designs = list(cost["sizes"])
    table = _table("sizes of structures, in bytes", "", *designs)
    for name in ("zspage", "zpdesc", "zswap_entry"):
        cells = (str(getattr(cost["sizes"][design], name)) for design in designs)
        table.add_row(f"struct {name}", *cells)
    return table


def _memory(cost: Mapping[str, Any]) -> Table:
    designs = list(cost["sizes"])
    table = _table(
        "bytes for each live object: arrays + zswap_entry + struct zspage = all (bytes in arrays"
        " for each zspage)",
        "workload", "objects", "zspages", *designs,
    )  # fmt: skip
    for name, found in cost["memory"].items():
        first = next(iter(found.values()))
        cells = (_memory_cell(found[design]) for design in designs)
        table.add_row(name, str(first.objects), str(first.zspages), *cells)
    return table


def _memory_cell(memory: Any) -> str:
    parts = (memory.arrays, memory.entries, memory.descriptors)
    shown = " + ".join(f"{part / memory.objects:.1f}" for part in parts)
    whole = f"{shown} = {memory.total / memory.objects:.1f}"
    return f"{whole} ({memory.arrays / memory.zspages:.0f})"


def _times(cost: Mapping[str, Any]) -> Table:
    designs = list(cost["sizes"])
    table = _table(
        f"malloc + write + free: nanoseconds, and ratio to {designs[0]}", "payload", *designs
    )
    for name, times in cost["times"].items():
        base = times[designs[0]]
        cells = (f"{times[design]:,.0f} ({times[design] / base:.2f})" for design in designs)
        table.add_row(name, *cells)
    return table
