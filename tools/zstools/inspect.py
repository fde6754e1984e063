# SPDX-License-Identifier: GPL-2.0-only
"""Tell people what was found in a kernel, and how the module is going to call it."""

from __future__ import annotations

import json
from typing import Any

from zstools.discovery import load_discovery
from zstools.kernel import Kernel
from zstools.leftout import left_out
from zstools.series import STOCK

_WHERE = {
    "zspage": "an array for each zspage",
    "zpdesc": "an array for each page, in the word over memcg_data",
    "stock": "zsmalloc keeps no owners",
}


def facts_of(kernel: Kernel) -> dict[str, Any]:
    """Return the facts of `zsfuzz kernel inspect --json`."""
    layout = json.loads(kernel.layout.read_text())
    found = load_discovery(kernel.layout)
    return {
        "version": kernel.version,
        "commit": kernel.manifest.get("commit", ""),
        "key": kernel.key,
        "configuration": kernel.spec.configuration,
        "vmlinux": str(kernel.linux),
        **found.to_dict(),
        "prototypes": {role: str(f) for role, f in found.functions.items()},
        "calls": layout["calls"]["expressions"],
        "no_swap": layout["no_swap"],
        "left_out": owners_left_out(kernel),
    }


def owners_left_out(kernel: Kernel) -> str:
    """Say in a line that owners which a tree of the user's mentions were not built; "" if none."""
    spec = kernel.spec
    if spec.own_tree is None or spec.design != STOCK:
        return ""
    # The copy goes on with the tree, and may be ahead of an older kernel.
    tree = kernel.source if spec.extra_patches else spec.own_tree
    return left_out(tree, kernel.build / ".config")


def render_facts(facts: dict[str, Any]) -> str:
    """Render them for people."""
    place = facts["place"]
    commit = f", commit {facts['commit']}" if facts["commit"] else ""
    lines = [f"Linux {facts['version']}{commit}, {facts['configuration']}"]
    lines += [f"design      {facts['design']}: {_WHERE[facts['design']]}"]
    if facts["left_out"]:
        lines += [facts["left_out"]]
    if place is not None:
        lines += [f"owners      {place['path']}{_entries(place)}"]
    lines += [f"owner given at {facts['owner_at']}, awareness at {facts['aware_at']}"]
    lines += ["", "prototypes", *_rows(facts["prototypes"])]
    lines += ["", "the module calls", *_rows(facts["calls"])]
    counters = {n: f"{c['name']}, in {_unit(c['unit'])}" for n, c in facts["counters"].items()}
    lines += ["", "statistics", *_rows(counters)]
    if facts["no_swap"]:
        lines += ["", f"the swap path is not tested: {facts['no_swap']}"]
    for note in facts["notes"]:
        lines += ["", f"note: {note}"]
    if facts["adapter"]:
        lines += ["", f"with the help of {facts['adapter']}"]
    return "\n".join(lines)


def _entries(place: dict[str, Any]) -> str:
    if place["stride"] == 8:
        return ""
    return f", entries of {place['stride']} bytes, owner at {place['entry']}"


def _unit(size: int) -> str:
    return "bytes" if size == 1 else "pages"


def _rows(facts: dict[str, Any]) -> list[str]:
    width = max((len(name) for name in facts), default=0)
    return [f"  {name:{width}}  {value}" for name, value in facts.items()]
