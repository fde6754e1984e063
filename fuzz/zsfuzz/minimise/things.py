# SPDX-License-Identifier: GPL-2.0-only
"""What an operation names: objects, pages, pools and cgroups each have numbers of their own."""

from __future__ import annotations

from typing import NamedTuple

from zsfuzz.program import PAGE_OPS, USES, Op, Opcode

# What makes something, and of which kind.  The first write to a page makes it.
MAKERS = {
    Opcode.MALLOC: "object",
    Opcode.PAGE_WRITE: "page",
    Opcode.POOL_CREATE: "pool",
    Opcode.CGROUP_CREATE: "cgroup",
}


class Thing(NamedTuple):
    """Name one thing of a program, such as ("object", 3)."""

    kind: str
    number: int


def things(op: Op) -> dict[str, Thing]:
    """List what an operation names, by kind; no owner is a cgroup like any other here."""
    uses = USES[op.op]
    found = []
    if "object" in uses:
        found.append(Thing("page" if op.op in PAGE_OPS else "object", op.object))
    if "pool" in uses:
        found.append(Thing("pool", op.pool))
    if "owner" in uses:
        found.append(Thing("cgroup", op.owner))
    return {thing.kind: thing for thing in found}


def made(op: Op) -> Thing | None:
    """Name what an operation makes."""
    kind = MAKERS.get(op.op)
    return things(op)[kind] if kind else None
