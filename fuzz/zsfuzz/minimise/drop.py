# SPDX-License-Identifier: GPL-2.0-only
"""Passes that make a program shorter."""

from __future__ import annotations

from itertools import combinations

from zsfuzz.minimise.rank import Ops
from zsfuzz.minimise.search import Search
from zsfuzz.minimise.things import made, things

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


def keep_related(search: Search) -> None:
    """Keep what the last operation names: what made it, else also all that was done with it.

    One run instead of dozens, where it works: each that shows the finding may cost a boot.
    """
    if not search.best:
        return
    for related in (_makers, _all_uses):
        if search.attempt(related(search.best)):
            return


def _makers(ops: Ops) -> Ops:
    """Give the last operation, and what made the things that it names, and their things."""
    wanted, kept = set(things(ops[-1]).values()), [ops[-1]]
    for op in reversed(ops[:-1]):
        thing = made(op)
        if thing in wanted:
            wanted = (wanted | set(things(op).values())) - {thing}
            kept.append(op)
    return tuple(reversed(kept))


def _all_uses(ops: Ops) -> Ops:
    """Give all operations with the last one's object or page, and what made all that they name."""
    own = {thing for thing in things(ops[-1]).values() if thing.kind in ("object", "page")}
    uses = [op for op in ops if own & set(things(op).values())]
    named = {thing for op in uses for thing in things(op).values()}
    return tuple(op for op in ops if op in uses or made(op) in named)


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
        if at < len(search.best) and made(search.best[at]):
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


def without_users(ops: Ops, at: int) -> Ops:
    """Leave out the operation at `at` and, until the same thing is made again, what uses it."""
    thing = made(ops[at])
    kept = list(ops[:at])
    rest = iter(ops[at + 1 :])
    for op in rest:
        if made(op) == thing:
            return (*kept, op, *rest)
        if thing not in things(op).values():
            kept.append(op)
    return tuple(kept)
