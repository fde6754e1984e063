# SPDX-License-Identifier: GPL-2.0-only
"""Passes that make a program shorter."""

from __future__ import annotations

from itertools import combinations

from zsfuzz.minimise.rank import Ops
from zsfuzz.minimise.search import Search
from zsfuzz.program import USES, Op, Opcode

PAIRS_UP_TO = 24  # operations, in programs of which all pairs are tried


def drop_tail(search: Search) -> None:
    """Cut off the end: most findings show at one operation, and not before it.

    To see the finding costs more than not to see it, so short beginnings are tried first.
    """
    if search.step is not None:
        search.attempt(search.best[: search.step])
        return
    low, high = 0, 1
    while high < len(search.best) and not search.attempt(search.best[:high]):
        low, high = high + 1, 2 * high
    high = len(search.best)
    while low < high:
        middle = (low + high) // 2
        if search.attempt(search.best[:middle]):
            high = middle
        else:
            low = middle + 1


def drop_blocks(search: Search) -> None:
    """Drop blocks, from half of the program to single operations, from the end to the beginning."""
    size = len(search.best) // 2
    while size:
        end = len(search.best)
        while end > 0:
            start = max(0, end - size)
            search.attempt(search.best[:start] + search.best[end:])
            end = start
        size //= 2


def drop_users(search: Search) -> None:
    """Drop what makes an object, pool or cgroup, and every use of it."""
    at = len(search.best) - 1
    while at >= 0:
        if at < len(search.best) and search.best[at].op in _MAKERS:
            search.attempt(without_users(search.best, at))
        at -= 1


def drop_pairs(search: Search) -> None:
    """Drop two operations at once, such as a lock and the flush that ends it."""
    if len(search.best) > PAIRS_UP_TO:
        return
    before: Ops = ()
    while before != search.best:
        before = search.best
        for pair in combinations(reversed(range(len(before))), 2):
            if search.attempt(op for at, op in enumerate(before) if at not in pair):
                break


# What makes something, and the field that names it.
_MAKERS = {
    Opcode.MALLOC: "object",
    Opcode.POOL_CREATE: "pool",
    Opcode.CGROUP_CREATE: "owner",
}


def without_users(ops: Ops, at: int) -> Ops:
    """Leave out the operation at `at` and, until the same name is made again, what uses it."""
    field = _MAKERS[ops[at].op]
    name = getattr(ops[at], field)
    kept = list(ops[:at])
    rest = iter(ops[at + 1 :])
    for op in rest:
        if _MAKERS.get(op.op) == field and getattr(op, field) == name:
            return (*kept, op, *rest)
        if not _uses(op, field, name):
            kept.append(op)
    return tuple(kept)


def _uses(op: Op, field: str, name: int) -> bool:
    return field in USES[op.op] and getattr(op, field) == name
