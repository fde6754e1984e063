# SPDX-License-Identifier: GPL-2.0-only
"""The tables of `zsfuzz bench speed`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from zsfuzz.bench.speed import DIFFERENTIAL, PROMISED, PROMISES, RESTART_PROMISE
from zsfuzz.bench.speedturns import RAW


def render_speed(figures: Mapping[str, Any]) -> RenderableType:
    """Lay out promises, throughput, where the host's time goes, start and memory."""
    head = (
        f"kernel {figures['kernel']}, design {figures['design']}, {figures['cpus']} CPUs, load "
        f"{figures['load']:.1f} over 5 minutes (2 are our own); medians, quartiles in brackets"
    )
    parts: list[RenderableType] = [Text(head), _promises(figures)]
    for flavour, found in figures["flavours"].items():
        parts += [_rates(flavour, found), _sections(flavour, found)]
    return Group(*parts, _kasan(figures), _life(figures))


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, title=f"\n{title}", title_justify="left",
                  title_style="")  # fmt: skip
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _promises(figures: Mapping[str, Any]) -> Table:
    table = _table("what is promised", "", "promised", "measured", "")
    for flavour, found in figures["flavours"].items():
        if PROMISED in found["lengths"] and flavour in PROMISES:
            ratio = found["lengths"][PROMISED]["ratio_to_raw"][DIFFERENTIAL]
            promise = PROMISES[flavour]
            verdict = "met" if ratio["median"] >= promise else "missed"
            name = f"{flavour}: differential / raw, {PROMISED} operations"
            table.add_row(name, f">= {promise:g}", _cell(ratio), verdict)
        again = found["restart_seconds"]
        verdict = "met" if again["median"] < RESTART_PROMISE else "missed"
        name = f"{flavour}: seconds from a dead guest to the next program"
        table.add_row(name, f"< {RESTART_PROMISE:g}", _cell(again), verdict)
    return table


def _rates(flavour: str, found: Mapping[str, Any]) -> Table:
    lengths = list(found["lengths"])
    table = _table(
        f"{flavour}: programs a second = ratio to raw replay, by operations in a program",
        "", *(str(length) for length in lengths),
    )  # fmt: skip
    for name in found["lengths"][lengths[0]]["programs_per_second"]:
        cells = []
        for length in lengths:
            one = found["lengths"][length]
            rate = one["programs_per_second"][name]["median"]
            cells.append(f"{rate:,.0f} = {_cell(one['ratio_to_raw'][name])}")
        table.add_row(name, *cells)
    for name in (DIFFERENTIAL, RAW):
        rates = (found["lengths"][n]["operations_per_second"][name] for n in lengths)
        table.add_row(f"operations a second, {name}", *(f"{rate:,.0f}" for rate in rates))
    return table


def _sections(flavour: str, found: Mapping[str, Any]) -> Table:
    lengths = list(found["lengths"])
    table = _table(
        f"{flavour}: where the host's time goes, in microseconds a program (and share)",
        "", *(str(length) for length in lengths),
    )  # fmt: skip
    sums = {n: sum(found["lengths"][n]["host_nanoseconds"].values()) for n in lengths}
    for name in found["lengths"][lengths[0]]["host_nanoseconds"]:
        spent = {n: found["lengths"][n]["host_nanoseconds"][name] for n in lengths}
        cells = (f"{spent[n] / 1000:.1f} ({spent[n] / sums[n]:.0%})" for n in lengths)
        table.add_row(name, *cells)
    return table


def _kasan(figures: Mapping[str, Any]) -> RenderableType:
    flavours = figures["flavours"]
    if not {"plain", "kasan"} <= flavours.keys():
        return Text("")
    plain, kasan = flavours["plain"]["lengths"], flavours["kasan"]["lengths"]
    title = "kasan beside plain (ratio of medians)"
    table = _table(title, "", *(str(length) for length in plain))
    for name in (DIFFERENTIAL, RAW):
        cells = []
        for length in plain:
            one, two = (f[length]["programs_per_second"][name]["median"] for f in (kasan, plain))
            cells.append(f"{one / two:.2f}")
        table.add_row(name, *cells)
    return table


def _life(figures: Mapping[str, Any]) -> Table:
    table = _table(
        "start, and resident memory from the first turn to the last, MiB",
        "", "start, s", "after a kill, s", "seconds", "programs", "host", "guest",
    )  # fmt: skip
    for flavour, found in figures["flavours"].items():
        for length, one in found["lengths"].items():
            longest = max(one["memory"], key=lambda memory: memory["seconds"])
            sizes = ("{:.1f} to {:.1f}".format(*(kib / 1024 for kib in longest[side]))
                     for side in ("host_kib", "guest_kib"))  # fmt: skip
            table.add_row(
                f"{flavour}, {length}", f"{found['start_seconds']['median']:.2f}",
                f"{found['restart_seconds']['median']:.2f}", f"{longest['seconds']:.1f}",
                f"{longest['programs']:,}", *sizes,
            )  # fmt: skip
    return table


def _cell(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.2f} [{spread['low']:.2f}..{spread['high']:.2f}]"
